"""The protection of every page: headers, cookies, no inline scripts or styles."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from common.middleware import ContentSecurityPolicyMiddleware, content_security_policy
from tests.support.cast import PASSWORD, Cast, post, sign_in
from tests.support.pages import (
    FEATURES,
    GROUPS,
    HEALTH,
    MENU,
    NEW_TOPIC,
    RESET,
    TOPICS,
    USERS,
    expand,
    messages,
    send,
    text_of,
    thread,
)
from tests.support.stage import Response


def assert_is_protected(response: Response) -> None:
    policy = response["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] in ("same-origin", "no-referrer")
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in response["Permissions-Policy"]


PAGES_OF = {
    "alice": [
        "/accounts/profile/",
        "/accounts/password/change/",
        "/accounts/logout/",
        MENU,
        "/northwind/administration/",
        TOPICS,
        TOPICS + "?inactive=1",
        NEW_TOPIC,
        "THREAD",
        "THREADedit/",
        "THREADedit/replay/",
        "THREADmessages/",
        TOPICS + "preferences/",
        GROUPS,
        "GROUP",
        "GROUPusers/",
    ],
    "dana": [
        FEATURES,
        USERS,
        USERS + "new/",
        "USER",
        GROUPS,
        GROUPS + "new/",
        "GROUP",
        "GROUPusers/",
        "GROUPedit/",
        USERS + "?format=csv",
        HEALTH,
    ],
}


@pytest.mark.parametrize(("who", "path"), [(who, path) for who, paths in PAGES_OF.items() for path in paths])
def test_a_page_behind_the_sign_in_is_protected_and_not_stored(cast: Cast, who: str, path: str) -> None:
    response = sign_in(getattr(cast, who)).get(expand(path, cast))
    assert response.status_code == 200
    assert_is_protected(response)
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    "path", ["/accounts/login/", RESET, RESET + "done/", RESET + "key/1-x/", "/healthz", "/nothing/", MENU, "/"]
)
def test_a_page_without_signing_in_is_protected(cast: Cast, path: str) -> None:
    assert_is_protected(Client().get(path))


def post_without_token(cast: Cast) -> Response:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.bob.user)
    return client.post(messages(cast.payments), {"body": "Hello"})


FAILURES: dict[str, tuple[int, Callable[[Cast], Response]]] = {
    "NUL in the path": (400, lambda cast: sign_in(cast.bob).get("/north%00wind/")),
    "NUL in the query": (400, lambda cast: sign_in(cast.bob).get(TOPICS + "?q=%00")),
    "not a form": (
        400,
        lambda cast: sign_in(cast.bob).post(messages(cast.payments), b"x", "multipart/form-data; boundary="),
    ),
    "not the role": (403, lambda cast: sign_in(cast.bob).get(USERS)),
    "not the token": (403, post_without_token),
    "another tenancy": (404, lambda cast: sign_in(cast.erin).get(MENU)),
    "another group": (404, lambda cast: sign_in(cast.mallory).get(thread(cast.payments))),
    "no route": (404, lambda cast: sign_in(cast.bob).get(MENU + "nothing/")),
    "not the method": (405, lambda cast: sign_in(cast.bob).post(MENU)),
    "empty message": (422, lambda cast: send(sign_in(cast.bob), cast.payments, " ")),
}


@pytest.mark.parametrize("what", FAILURES)
def test_an_error_page_is_protected_too(cast: Cast, what: str) -> None:
    status, send_request = FAILURES[what]
    response = send_request(cast)
    assert response.status_code == status
    assert_is_protected(response)
    assert "no-store" in response["Cache-Control"]


def test_internal_errors_are_protected_and_disclose_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise RuntimeError("canary-of-an-error")

    monkeypatch.setattr("messenger.threads.pages.opening", fail)
    client = sign_in(cast.bob)
    client.raise_request_exception = False
    response = client.get(thread(cast.payments))
    assert response.status_code == 500
    assert_is_protected(response)
    assert "no-store" in response["Cache-Control"]
    assert "canary" not in text_of(response)


@pytest.mark.parametrize(
    ("directives", "policy"),
    [
        ({}, ""),
        ({"default-src": ["'none'"]}, "default-src 'none'"),
        ({"img-src": ["'self'", "data:"], "base-uri": ["'none'"]}, "img-src 'self' data:; base-uri 'none'"),
    ],
)
def test_a_policy_lists_each_directive_with_its_sources(directives: dict[str, list[str]], policy: str) -> None:
    assert content_security_policy(directives) == policy


@pytest.mark.parametrize(
    ("debug", "status", "is_protected"),
    [
        (False, 200, True),
        (False, 404, True),
        (False, 500, True),
        (True, 200, True),
        (True, 404, False),
        (True, 500, False),
    ],
)
def test_only_djangos_debug_page_has_no_policy(settings: Any, debug: bool, status: int, is_protected: bool) -> None:
    settings.DEBUG = debug
    middleware = ContentSecurityPolicyMiddleware(lambda _request: HttpResponse(status=status))
    assert ("Content-Security-Policy" in middleware(RequestFactory().get("/"))) == is_protected


def test_pages_contain_no_inline_scripts_or_styles(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    for who, paths in PAGES_OF.items():
        for path in paths:
            page = text_of(sign_in(getattr(cast, who)).get(expand(path, cast)))
            assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|javascript:|<style", page), path


def test_scripts_and_other_sites_cannot_use_the_session_cookie(cast: Cast) -> None:
    client = Client()
    client.post("/accounts/login/", {"login": cast.bob.user.email, "password": PASSWORD})
    cookie = client.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
