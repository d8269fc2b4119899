from tenancy.http import MemberHttpRequest


class MessengerHttpRequest(MemberHttpRequest):
    """A request for one of Messenger's own pages."""

    # Set by views that have checked it, to save the main menu a query.
    sees_messenger: bool


MAX_SEQUENCE_DIGITS = 18


def parse_sequence(value: str) -> int | None:
    """A sequence number from a query or form, or None if it is invalid."""
    is_number = value.isascii() and value.isdigit() and len(value) <= MAX_SEQUENCE_DIGITS
    return int(value) if is_number else None
