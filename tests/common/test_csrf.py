"""The CSRF token of our forms: Django's middleware accepts it, and every page has a different one."""

import re

import pytest
from django.middleware.csrf import CSRF_ALLOWED_CHARS, CSRF_SECRET_LENGTH, _does_token_match  # type: ignore[attr-defined]
from django.test import Client, RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from common.csrf import form_token
from messenger.models import Message
from tests.support.cast import Cast, sign_in

SECRETS = st.text(CSRF_ALLOWED_CHARS, min_size=CSRF_SECRET_LENGTH, max_size=CSRF_SECRET_LENGTH)


def token_for(secret: str) -> str:
    request = RequestFactory().get("/")
    request.META["CSRF_COOKIE"] = secret
    return form_token(request)


@given(SECRETS, SECRETS)
def test_a_token_matches_its_own_secret_and_no_other(secret: str, other: str) -> None:
    token = token_for(secret)
    assert _does_token_match(token, secret)
    assert _does_token_match(token, other) == (secret == other)
    assert secret not in token
    assert token != token_for(secret), "each token has its own mask"


@pytest.fixture
def checked(cast: Cast) -> Client:
    """A signed-in client with CSRF checks, as outside of tests."""
    client = Client(enforce_csrf_checks=True)
    client.cookies = sign_in(cast.bob).cookies
    return client


def test_a_thread_opened_without_a_cookie_sets_one_and_a_message_can_be_sent(cast: Cast, checked: Client) -> None:
    path = f"/northwind/messenger/topics/{cast.payments.pk}/"
    page = checked.get(path)
    assert "csrftoken" in page.cookies
    for number in (1, 2):  # the second page is requested with the cookie
        tokens = set(re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.content.decode()))
        assert len(tokens) == 1
        form = {"body": "Hello", "client_id": f"00000000-0000-0000-0000-00000000000{number}"}
        assert checked.post(f"{path}messages/", form).status_code == 403, "without the token"
        assert checked.post(f"{path}messages/", form | {"csrfmiddlewaretoken": tokens.pop()}).status_code == 303
        page = checked.get(path)
        assert "csrftoken" not in page.cookies, "the request already had it"
    assert Message.objects.count() == 2


def test_a_cookie_that_holds_no_secret_is_replaced(cast: Cast, checked: Client) -> None:
    checked.cookies["csrftoken"] = "<b>"
    page = checked.get(f"/northwind/messenger/topics/{cast.payments.pk}/")
    assert page.status_code == 200
    assert len(page.cookies["csrftoken"].value) == CSRF_SECRET_LENGTH
