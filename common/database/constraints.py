from django.db import IntegrityError


def violates(error: IntegrityError, constraint: str) -> bool:
    """Whether it was this constraint, of the many there are, that the database found broken."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) == constraint
