from collections.abc import Callable
from typing import cast
from zoneinfo import ZoneInfo

from django.contrib.auth import middleware
from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.utils import timezone, translation

from accounts.sessions import signed_in_user


class AuthenticationMiddleware(middleware.AuthenticationMiddleware):
    """Django's middleware, with the user that was loaded together with the session."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        # Not lazy as in Django: the next middleware needs the user on every page anyway.
        request.user = signed_in_user(request)


class PersonalSettingsMiddleware:
    """Activates the signed-in user's time zone and language, and forbids caches to store their pages.

    For anonymous visitors, Django's LocaleMiddleware chooses the language by the browser's Accept-Language header.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._locale_middleware = LocaleMiddleware(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if not user.is_authenticated:
            return cast("HttpResponse", self._locale_middleware(request))
        translation.activate(user.language)
        request.LANGUAGE_CODE = user.language
        with timezone.override(ZoneInfo(user.time_zone)):
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", user.language)
        response.headers.setdefault("Cache-Control", "no-store")
        return response
