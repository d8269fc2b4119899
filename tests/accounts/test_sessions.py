"""Who asks: the session and its user come in one statement, and are looked at as closely as Django looks at them."""

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


def asking_who(client: Client, path: str) -> list[str]:
    """The statements of a page that ask who it is for."""
    asking = ("session_", "active_member", 'FROM "accounts_session', 'FROM "accounts_user', 'FROM "tenancy_')
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return [one["sql"].partition("(")[0] for one in captured if any(words in one["sql"] for words in asking)]


def test_a_row_is_read_by_the_store_that_the_settings_name(cast: Cast, settings: Any) -> None:
    row = session_of(sign_in(cast.bob))
    assert row.get_session_store_class() is SessionStore
    assert row.get_decoded()[SESSION_KEY] == str(cast.bob.user_id)
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    assert row.get_session_store_class() is DatabaseStore


def test_who_asks_is_one_statement_the_member_with_it(cast: Cast) -> None:
    client = sign_in(cast.bob)
    assert asking_who(client, PROFILE) == ["EXECUTE session_and_user"]
    assert asking_who(client, "/northwind/messenger/") == ["EXECUTE session_user_and_member"]


def test_a_session_brings_along_the_member_of_its_own_user_in_the_tenancy_that_is_asked_for(cast: Cast) -> None:
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
def test_a_path_that_names_no_tenancy_is_answered_all_the_same(cast: Cast, path: str) -> None:
    assert sign_in(cast.bob).generic("GET", path).status_code < 500


def test_a_member_that_came_with_the_session_of_somebody_else_is_not_believed(cast: Cast) -> None:
    request = RequestFactory().get("/northwind/")
    request.session = SessionStore()
    request.session.member = cast.alice
    request.user = cast.bob.user
    assert current_member(request, "northwind") == cast.bob
    request.session.member = cast.bob
    with pytest.raises(Member.DoesNotExist):
        current_member(request, "aurora")


def test_a_session_knows_whose_it_is_from_signing_in_to_signing_out(cast: Cast) -> None:
    client = Client()
    client.post("/accounts/login/", {"login": cast.bob.user.email, "password": PASSWORD})
    session = session_of(client)
    assert session.user == cast.bob.user
    assert is_signed_in(client)
    client.post("/accounts/logout/")
    assert not Session.objects.filter(pk=session.pk).exists()
    assert not is_signed_in(client)


def test_signing_out_here_leaves_the_other_device_signed_in(cast: Cast) -> None:
    here, there = sign_in(cast.bob), sign_in(cast.bob)
    here.post("/accounts/logout/")
    assert not is_signed_in(here)
    assert is_signed_in(there)


def test_a_new_password_signs_out_the_other_devices_only(cast: Cast) -> None:
    here, there = sign_in(cast.bob), sign_in(cast.bob)
    new = {"oldpassword": PASSWORD, "password1": "staple horse correct 7", "password2": "staple horse correct 7"}
    assert here.post("/accounts/password/change/", new).status_code == 302
    assert is_signed_in(here)
    assert not is_signed_in(there)


def deactivated(client: Client) -> None:
    User.objects.filter(sessions=session_of(client)).update(is_active=False)


def expired(client: Client) -> None:
    Session.objects.filter(pk=session_of(client).pk).update(expire_date=timezone.now() - timedelta(seconds=1))


def gone(client: Client) -> None:
    session_of(client).delete()


def rewritten(**values: Any) -> Callable[[Client], None]:
    """What the session says is changed, and signed as always."""

    def rewrite(client: Client) -> None:
        session = session_of(client)
        said = session.get_decoded()
        assert said.keys() >= values.keys()
        said |= values
        Session.objects.filter(pk=session.pk).update(
            session_data=SessionStore().encode({name: value for name, value in said.items() if value is not None})
        )

    return rewrite


SPOILED: dict[str, Callable[[Client], object]] = {
    "user deactivated": deactivated,
    "session expired": expired,
    "session gone": gone,
    "hash of another password": rewritten(**{HASH_SESSION_KEY: "x" * 64}),
    "empty hash": rewritten(**{HASH_SESSION_KEY: ""}),
    "no hash": rewritten(**{HASH_SESSION_KEY: None}),
    "foreign backend": rewritten(**{BACKEND_SESSION_KEY: "elsewhere.Backend"}),
    "no backend": rewritten(**{BACKEND_SESSION_KEY: None}),
    "no user": rewritten(**{SESSION_KEY: None}),
    "unknown user": rewritten(**{SESSION_KEY: "4711"}),
    "not signed by us": lambda client: Session.objects.update(session_data="forged:xx:yy"),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_session_that_does_not_hold_lets_nobody_in(cast: Cast, spoil: Callable[[Client], object]) -> None:
    client = sign_in(cast.bob)
    assert is_signed_in(client)
    spoil(client)
    assert not is_signed_in(client)


def test_whom_the_session_names_counts_not_whom_its_row_names(cast: Cast) -> None:
    client = sign_in(cast.bob)
    Session.objects.filter(pk=session_of(client).pk).update(user=cast.alice.user)
    assert client.get(MENU).context["member"].name == "Bob Brandt"


def test_who_signs_in_where_somebody_else_was_is_the_new_one(cast: Cast) -> None:
    client = sign_in(cast.bob)
    before = session_of(client)
    client.force_login(cast.alice.user)
    assert session_of(client).user == cast.alice.user
    assert not Session.objects.filter(pk=before.pk).exists()
    assert client.get(MENU).context["member"].name == "Alice Almeida"


def test_signing_in_takes_a_new_key(cast: Cast) -> None:
    client = Client()
    client.get("/accounts/login/")
    session = client.session
    session["planted"] = "by somebody else"
    session.save()
    planted = str(session.session_key)
    client.cookies[settings.SESSION_COOKIE_NAME] = planted
    client.post("/accounts/login/", {"login": cast.bob.user.email, "password": PASSWORD})
    assert session_of(client).pk != planted
    assert not Session.objects.filter(pk=planted).exists()


def test_a_session_of_an_earlier_secret_key_holds_and_is_renewed(cast: Cast, settings: Any) -> None:
    client = sign_in(cast.bob)
    before = session_of(client)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one, of this year"
    assert is_signed_in(client)
    assert session_of(client).pk != before.pk
    assert session_of(client).user == cast.bob.user
    settings.SECRET_KEY_FALLBACKS = []
    assert is_signed_in(client)


def test_a_session_from_before_sessions_knew_their_user_holds(cast: Cast) -> None:
    client = sign_in(cast.bob)
    Session.objects.update(user=None)
    assert is_signed_in(client)
    session = client.session
    session["something"] = "new"
    session.save()
    assert session_of(client).user == cast.bob.user


def test_nobody_is_a_member_elsewhere_or_without_being_active(cast: Cast) -> None:
    client = sign_in(cast.bob)
    assert client.get(MENU).status_code == 200
    assert client.get("/aurora/").status_code == 404
    Member.objects.filter(pk=cast.bob.pk).update(is_active=False)
    assert client.get(MENU).status_code == 404


def test_what_a_request_changes_in_its_session_is_not_what_the_next_one_reads(cast: Cast) -> None:
    client = sign_in(cast.bob)
    key = session_of(client).session_key
    one = SessionStore(key)
    one["shown"] = ["first"]
    one.save()
    one = SessionStore(key)
    one["shown"].append("only here, and not saved")
    assert SessionStore(key)["shown"] == ["first"]


def test_who_is_signed_in_reads_their_own_language_and_others_that_of_their_browser(cast: Cast) -> None:
    User.objects.filter(pk=cast.bob.user_id).update(language="en-gb")
    american = {"Accept-Language": "en"}
    signed_in = sign_in(cast.bob).get(MENU, headers=american)
    assert signed_in["Content-Language"] == "en-gb"
    assert '<html lang="en-gb"' in signed_in.content.decode()
    for language in ("en", "en-gb"):
        answer = Client().get("/accounts/login/", headers={"Accept-Language": language})
        assert answer["Content-Language"] == language
        assert f'<html lang="{language}"' in answer.content.decode()
        assert "Accept-Language" in answer["Vary"]
