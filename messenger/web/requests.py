from django.http import HttpRequest

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


def wants_fragment(request: HttpRequest) -> bool:
    """Whether one of our JavaScript modules made the request, and needs part of a page."""
    return request.META.get("HTTP_X_REQUESTED_WITH") == "fetch"
