from django.db import IntegrityError


def violates(error: IntegrityError, constraint: str) -> bool:
    """Whether the database raised this error because of the constraint with this name."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) == constraint
