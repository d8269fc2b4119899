"""The token in our forms: Django's own middleware takes it, and each page has another one."""

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
def test_a_token_matches_the_secret_that_it_was_made_of_and_no_other(secret: str, other: str) -> None:
    token = token_for(secret)
    assert _does_token_match(token, secret)
    assert _does_token_match(token, other) == (secret == other)
    assert secret not in token
    assert token != token_for(secret), "each has a mask of its own"


@pytest.fixture
def strict(cast: Cast) -> Client:
    """A browser whose forms are looked at, as they are outside of tests."""
    client = Client(enforce_csrf_checks=True)
    client.cookies = sign_in(cast.bob).cookies
    return client


def test_a_thread_opened_without_a_cookie_sets_one_and_a_message_can_be_sent(cast: Cast, strict: Client) -> None:
    path = f"/northwind/messenger/topics/{cast.payments.pk}/"
    page = strict.get(path)
    assert "csrftoken" in page.cookies
    for number in (1, 2):  # the second page comes with the cookie
        tokens = set(re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.content.decode()))
        assert len(tokens) == 1
        form = {"body": "Hello", "client_id": f"00000000-0000-0000-0000-00000000000{number}"}
        assert strict.post(f"{path}messages/", form).status_code == 403, "without it"
        assert strict.post(f"{path}messages/", form | {"csrfmiddlewaretoken": tokens.pop()}).status_code == 303
        page = strict.get(path)
        assert "csrftoken" not in page.cookies, "it came with the request"
    assert Message.objects.count() == 2


def test_a_cookie_that_holds_no_secret_is_replaced(cast: Cast, strict: Client) -> None:
    strict.cookies["csrftoken"] = "<b>"
    page = strict.get(f"/northwind/messenger/topics/{cast.payments.pk}/")
    assert page.status_code == 200
    assert len(page.cookies["csrftoken"].value) == CSRF_SECRET_LENGTH
