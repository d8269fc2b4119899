from django.http import HttpRequest

from tenancy.http import MemberHttpRequest


class MessengerHttpRequest(MemberHttpRequest):
    """A request for one of Messenger's own pages."""

    # Set where the view has looked it up already, which saves the main menu its query.
    sees_messenger: bool


MAX_CURSOR_DIGITS = 18


def parse_sequence(value: str) -> int | None:
    """A sequence number out of a query or a form; None for what is none."""
    is_number = value.isascii() and value.isdigit() and len(value) <= MAX_CURSOR_DIGITS
    return int(value) if is_number else None


def wants_fragment(request: HttpRequest) -> bool:
    """Whether a module of ours asks, which wants a piece and no page."""
    return request.META.get("HTTP_X_REQUESTED_WITH") == "fetch"
