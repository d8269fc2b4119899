from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.contrib.auth import middleware
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.functional import SimpleLazyObject

from accounts.sessions import signed_in_user


class AuthenticationMiddleware(middleware.AuthenticationMiddleware):
    """Django's, with the user whom the session brings along."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        request.user = SimpleLazyObject(lambda: signed_in_user(request))  # type: ignore[assignment]


class PersonalSettingsMiddleware:
    """Shows times in the signed-in person's zone and words in their language; keeps their pages out of caches."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return self.get_response(request)
        translation.activate(request.user.language)
        request.LANGUAGE_CODE = request.user.language
        with timezone.override(ZoneInfo(request.user.time_zone)):
            response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response
