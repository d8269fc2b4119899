from collections.abc import Callable
from typing import cast
from zoneinfo import ZoneInfo

from django.contrib.auth import middleware
from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.utils import timezone, translation

from accounts.sessions import signed_in_user


class AuthenticationMiddleware(middleware.AuthenticationMiddleware):
    """Django's, with the user whom the session brings along."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        # Every page asks for them, in the next middleware: nothing is won by waiting.
        request.user = signed_in_user(request)


class PersonalSettingsMiddleware:
    """Shows times in the signed-in person's zone and words in their language; keeps their pages out of caches.

    Who is not signed in is spoken to in a language that their browser asks for, by Django's LocaleMiddleware.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._by_browser = LocaleMiddleware(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if not user.is_authenticated:
            return cast("HttpResponse", self._by_browser(request))
        translation.activate(user.language)
        request.LANGUAGE_CODE = user.language
        with timezone.override(ZoneInfo(user.time_zone)):
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", user.language)
        response.headers.setdefault("Cache-Control", "no-store")
        return response
