from collections.abc import Callable

from csp.constants import HEADER
from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


class ContentSecurityPolicyMiddleware:
    """django-csp's policy, built once: none of our pages has one of its own, and building it took a tenth of a request.

    Django's page about an error, which is shown while developing only, has styles within it and goes without.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._policy = build_policy()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not (settings.DEBUG and response.status_code in (404, 500)):
            response.headers.setdefault(HEADER, self._policy)
        return response


class RefuseUnreadableMiddleware:
    """400 for what no part of the application could read, and each would answer with an error of its own.

    A NUL in path, query or cookie (PostgreSQL takes none), and forms in another encoding than UTF-8 (some decode to
    what can't be encoded again).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if holds_nul(request) or _is_in_foreign_encoding(request):
            response = render(request, "400.html", status=400)
            response["Cache-Control"] = "no-store"
            return response
        return self.get_response(request)


def holds_nul(request: HttpRequest) -> bool:
    return (
        "\0" in request.path
        or "%00" in request.META.get("QUERY_STRING", "")
        or any("\0" in value for value in request.COOKIES.values())
    )


def _is_in_foreign_encoding(request: HttpRequest) -> bool:
    charset = (request.content_params or {}).get("charset", "utf-8")
    return charset.lower() not in {"utf-8", "utf8"}
