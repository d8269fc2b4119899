from collections.abc import Callable, Mapping, Sequence

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


class ContentSecurityPolicyMiddleware:
    """Sends the policy of the setting SECURE_CSP with every response: the name and form that Django 6 uses for its own.

    Django's debug page has inline styles, so under DEBUG errors go without a policy.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._policy = content_security_policy(settings.SECURE_CSP)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not (settings.DEBUG and response.status_code in (404, 500)):
            response["Content-Security-Policy"] = self._policy
        return response


def content_security_policy(directives: Mapping[str, Sequence[str]]) -> str:
    """The value of the header: `{"img-src": ["'self'", "data:"]}` becomes `img-src 'self' data:`."""
    return "; ".join(" ".join((name, *sources)) for name, sources in directives.items())


class RefuseUnreadableMiddleware:
    """Responds 400 to requests that would otherwise fail somewhere in the application.

    These are requests with a NUL in path, query or a cookie (PostgreSQL accepts none), and forms in an encoding other
    than UTF-8 (some decode to text that can't be encoded again).
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
