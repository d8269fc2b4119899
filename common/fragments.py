from django.http import HttpRequest


def wants_fragment(request: HttpRequest) -> bool:
    """Whether one of our JavaScript modules made the request, and needs part of a page."""
    return request.META.get("HTTP_X_REQUESTED_WITH") == "fetch"
