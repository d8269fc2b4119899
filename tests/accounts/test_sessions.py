"""Sessions: loaded in one statement with their user, and checked as thoroughly as Django checks them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Session, User
from tenancy.middleware import current_member
from tenancy.models import Member
from tenancy.session_engine import SessionStore
from tests.support.cast import PASSWORD, Cast, sign_in

PROFILE = "/accounts/profile/"
MENU = "/northwind/"


def is_signed_in(client: Client) -> bool:
    response = client.get(PROFILE)
    assert response.status_code in (200, 302)
    if response.status_code == 302:
        assert response["Location"].startswith("/accounts/login/")
    return response.status_code == 200


def session_of(client: Client) -> Session:
    return Session.objects.get(session_key=client.cookies[settings.SESSION_COOKIE_NAME].value)


def identity_queries(client: Client, path: str) -> list[str]:
    """The statements of a page that load session, user and member."""
    identifying = ("session_", "active_member", 'FROM "accounts_session', 'FROM "accounts_user', 'FROM "tenancy_')
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return [one["sql"].partition("(")[0] for one in captured if any(words in one["sql"] for words in identifying)]


def test_a_session_row_is_decoded_by_the_store_in_the_settings(cast: Cast, settings: Any) -> None:
    row = session_of(sign_in(cast.bob))
    assert row.get_session_store_class() is SessionStore
    assert row.get_decoded()[SESSION_KEY] == str(cast.bob.user_id)
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    assert row.get_session_store_class() is DatabaseStore


def test_session_user_and_member_are_loaded_in_one_statement(cast: Cast) -> None:
    client = sign_in(cast.bob)
    assert identity_queries(client, PROFILE) == ["EXECUTE session_and_user"]
    assert identity_queries(client, "/northwind/messenger/") == ["EXECUTE session_user_and_member"]


def test_a_session_is_loaded_with_its_users_member_of_the_requested_tenancy(cast: Cast) -> None:
    both = Member.objects.create(tenancy=cast.aurora, user=cast.bob.user, name="Bob of Aurora")
    client = sign_in(cast.bob)
    assert "Bob Brandt" in client.get("/northwind/").content.decode()
    assert "Bob of Aurora" in client.get("/aurora/").content.decode()
    both.is_active = False
    both.save()
    assert client.get("/aurora/").status_code == 404
    assert sign_in(cast.alice).get("/aurora/").status_code == 404
    assert client.get("/nobody/").status_code == 404


@pytest.mark.parametrize("path", ["*", "", "/", "//northwind/", "/%ff/", "/Northwind/", f"/{'x' * 5_000}/"])
def test_a_path_without_a_tenancy_causes_no_server_error(cast: Cast, path: str) -> None:
    assert sign_in(cast.bob).generic("GET", path).status_code < 500


def test_a_member_loaded_with_the_session_of_another_user_is_ignored(cast: Cast) -> None:
    request = RequestFactory().get("/northwind/")
    request.session = SessionStore()
    request.session.member = cast.alice
    request.user = cast.bob.user
    assert current_member(request, "northwind") == cast.bob
    request.session.member = cast.bob
    with pytest.raises(Member.DoesNotExist):
        current_member(request, "aurora")


def test_a_session_row_names_its_user_from_signing_in_to_signing_out(cast: Cast) -> None:
    client = Client()
    client.post("/accounts/login/", {"login": cast.bob.user.email, "password": PASSWORD})
    session = session_of(client)
    assert session.user == cast.bob.user
    assert is_signed_in(client)
    client.post("/accounts/logout/")
    assert not Session.objects.filter(pk=session.pk).exists()
    assert not is_signed_in(client)


def test_signing_out_on_one_device_leaves_the_other_signed_in(cast: Cast) -> None:
    here, there = sign_in(cast.bob), sign_in(cast.bob)
    here.post("/accounts/logout/")
    assert not is_signed_in(here)
    assert is_signed_in(there)


def test_changing_the_password_signs_out_only_the_other_devices(cast: Cast) -> None:
    here, there = sign_in(cast.bob), sign_in(cast.bob)
    new = {"oldpassword": PASSWORD, "password1": "staple horse correct 7", "password2": "staple horse correct 7"}
    assert here.post("/accounts/password/change/", new).status_code == 302
    assert is_signed_in(here)
    assert not is_signed_in(there)


def deactivate_user(client: Client) -> None:
    User.objects.filter(sessions=session_of(client)).update(is_active=False)


def expire(client: Client) -> None:
    Session.objects.filter(pk=session_of(client).pk).update(expire_date=timezone.now() - timedelta(seconds=1))


def delete(client: Client) -> None:
    session_of(client).delete()


def rewrite_data(**values: Any) -> Callable[[Client], None]:
    """Change the session's data and sign it as usual; None removes an entry."""

    def rewrite(client: Client) -> None:
        session = session_of(client)
        data = session.get_decoded()
        assert data.keys() >= values.keys()
        data |= values
        Session.objects.filter(pk=session.pk).update(
            session_data=SessionStore().encode({name: value for name, value in data.items() if value is not None})
        )

    return rewrite


INVALIDATIONS: dict[str, Callable[[Client], object]] = {
    "user deactivated": deactivate_user,
    "session expired": expire,
    "session deleted": delete,
    "hash of another password": rewrite_data(**{HASH_SESSION_KEY: "x" * 64}),
    "empty hash": rewrite_data(**{HASH_SESSION_KEY: ""}),
    "no hash": rewrite_data(**{HASH_SESSION_KEY: None}),
    "foreign backend": rewrite_data(**{BACKEND_SESSION_KEY: "elsewhere.Backend"}),
    "no backend": rewrite_data(**{BACKEND_SESSION_KEY: None}),
    "no user": rewrite_data(**{SESSION_KEY: None}),
    "unknown user": rewrite_data(**{SESSION_KEY: "4711"}),
    "not signed by us": lambda client: Session.objects.update(session_data="forged:xx:yy"),
}


@pytest.mark.parametrize("invalidate", INVALIDATIONS.values(), ids=INVALIDATIONS)
def test_an_invalid_session_is_not_signed_in(cast: Cast, invalidate: Callable[[Client], object]) -> None:
    client = sign_in(cast.bob)
    assert is_signed_in(client)
    invalidate(client)
    assert not is_signed_in(client)


def test_the_user_in_the_session_data_counts_not_the_one_in_its_row(cast: Cast) -> None:
    client = sign_in(cast.bob)
    Session.objects.filter(pk=session_of(client).pk).update(user=cast.alice.user)
    assert client.get(MENU).context["member"].name == "Bob Brandt"


def test_signing_in_as_another_user_replaces_the_session(cast: Cast) -> None:
    client = sign_in(cast.bob)
    before = session_of(client)
    client.force_login(cast.alice.user)
    assert session_of(client).user == cast.alice.user
    assert not Session.objects.filter(pk=before.pk).exists()
    assert client.get(MENU).context["member"].name == "Alice Almeida"


def test_signing_in_creates_a_new_session_key(cast: Cast) -> None:
    client = Client()
    client.get("/accounts/login/")
    session = client.session
    session["planted"] = "by someone else"
    session.save()
    planted = str(session.session_key)
    client.cookies[settings.SESSION_COOKIE_NAME] = planted
    client.post("/accounts/login/", {"login": cast.bob.user.email, "password": PASSWORD})
    assert session_of(client).pk != planted
    assert not Session.objects.filter(pk=planted).exists()


def test_a_session_signed_with_an_earlier_secret_key_is_valid_and_renewed(cast: Cast, settings: Any) -> None:
    client = sign_in(cast.bob)
    before = session_of(client)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    assert is_signed_in(client)
    assert session_of(client).pk != before.pk
    assert session_of(client).user == cast.bob.user
    settings.SECRET_KEY_FALLBACKS = []
    assert is_signed_in(client)


def test_a_session_without_a_user_in_its_row_is_valid(cast: Cast) -> None:
    client = sign_in(cast.bob)
    Session.objects.update(user=None)
    assert is_signed_in(client)
    session = client.session
    session["something"] = "new"
    session.save()
    assert session_of(client).user == cast.bob.user


def test_other_tenancies_and_inactive_memberships_are_a_404(cast: Cast) -> None:
    client = sign_in(cast.bob)
    assert client.get(MENU).status_code == 200
    assert client.get("/aurora/").status_code == 404
    Member.objects.filter(pk=cast.bob.pk).update(is_active=False)
    assert client.get(MENU).status_code == 404


def test_the_next_request_does_not_see_unsaved_changes_of_a_session(cast: Cast) -> None:
    client = sign_in(cast.bob)
    key = session_of(client).session_key
    session = SessionStore(key)
    session["items"] = ["first"]
    session.save()
    session = SessionStore(key)
    session["items"].append("not saved")
    assert SessionStore(key)["items"] == ["first"]


def test_users_get_the_language_of_their_profile_and_visitors_that_of_their_browser(cast: Cast) -> None:
    User.objects.filter(pk=cast.bob.user_id).update(language="en-gb")
    american = {"Accept-Language": "en"}
    signed_in = sign_in(cast.bob).get(MENU, headers=american)
    assert signed_in["Content-Language"] == "en-gb"
    assert '<html lang="en-gb"' in signed_in.content.decode()
    for language in ("en", "en-gb"):
        page = Client().get("/accounts/login/", headers={"Accept-Language": language})
        assert page["Content-Language"] == language
        assert f'<html lang="{language}"' in page.content.decode()
        assert "Accept-Language" in page["Vary"]
