"""Invitations, and the user's own account: passwords, profile, tenancies."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation
from django.utils.formats import date_format

from accounts.models import PasswordResetRequest, User
from accounts.users import create_user
from ippex_messenger.settings import ACCOUNT_RATE_LIMITS
from messenger.models import Message
from tenancy.invitations import link_of, renew
from tenancy.models import Invitation, Member
from tests.support.cast import PASSWORD, Cast, post, sign_in
from tests.support.pages import GROUPS, MENU, RESET, TOPICS, USERS, errors_of, messages, text_of, thread
from tests.support.stage import Response, rolled_back

PROFILE = "/accounts/profile/"
NEW_PASSWORD = "staple horse correct 7"


@pytest.fixture(autouse=True)
def _no_limits(settings: Any) -> None:
    settings.ACCOUNT_RATE_LIMITS = False


# -- Invitations ----------------------------------------------------------------------------------------------------


def invite(cast: Cast, email: str, name: str = "Ivan Ivanov") -> Response:
    response: Response = sign_in(cast.dana).post(f"{USERS}new/", {"name": name, "email": email}, follow=True)
    return response


def path_of(invitation: Invitation) -> str:
    return re.sub(r"^\w+://[^/]+", "", link_of(invitation))


def normalised(response: Response, email: str) -> bytes:
    content = response.content.replace(email.encode(), b"ADDRESS")
    content = re.sub(rb'(name="csrfmiddlewaretoken" value=")[^"]*', rb"\1", content)
    content = re.sub(rb"users/invitations/\d+", b"users/invitations/ID", content)
    return re.sub(rb"\d\d:\d\d", b"CLOCK", content)


def test_inviting_a_known_address_looks_like_inviting_an_unknown_one(cast: Cast) -> None:
    pages = []
    for email in (cast.erin.user.email, "nobody@aurora.example"):
        with rolled_back():
            listed = invite(cast, email)
            invitation = Invitation.objects.get(tenancy=cast.northwind)
            assert (listed.status_code, [status for _, status in listed.redirect_chain]) == (200, [302])
            opened = sign_in(cast.dana).get(f"{USERS}invitations/{invitation.pk}/")
            pages.append((normalised(listed, email), normalised(opened, email)))
            assert not Member.objects.filter(tenancy=cast.northwind, name="Ivan Ivanov").exists(), "not yet"
    assert pages[0] == pages[1]


def test_inviting_a_member_or_an_invited_address_is_an_error_of_the_email_field(cast: Cast) -> None:
    invite(cast, "ivan@example.com")
    for email in (cast.bob.user.email.upper(), "ivan@example.com", "IVAN@example.com"):
        assert errors_of(invite(cast, email)) == {"email"}
    assert Invitation.objects.count() == 1


SPELLINGS = ["anna@müller.example", "anna@xn--mller-kva.example", "Anna@MÜLLER.Example", "anna@mu\u0308ller.example"]


@pytest.mark.parametrize("first", SPELLINGS)
def test_one_address_is_invited_once_and_signs_in_however_its_domain_is_spelt(cast: Cast, first: str) -> None:
    assert invite(cast, first).status_code == 200
    assert [errors_of(invite(cast, again)) for again in SPELLINGS] == [{"email"}] * 4
    invitation = Invitation.objects.get()
    path, client = path_of(invitation), Client()
    assert "anna@müller.example" in text_of(client.get(path))
    client.post(path, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD, "time_zone": "Asia/Tokyo"})
    user = Member.objects.get(name="Ivan Ivanov").user
    assert user.email == "anna@xn--mller-kva.example"
    assert [errors_of(invite(cast, again)) for again in SPELLINGS] == [{"email"}] * 4, "a user by now"
    for spelling in SPELLINGS:
        signed_in = Client().post("/accounts/login/", {"login": spelling, "password": NEW_PASSWORD})
        assert signed_in.status_code == 302, spelling
        Client().post(RESET, {"email": spelling})
        assert PasswordResetRequest.objects.latest("pk").email == user.email


def test_an_address_is_found_by_its_readable_domain_and_shown_with_it(cast: Cast) -> None:
    User.objects.filter(pk=cast.bob.user_id).update(email="bob@xn--mller-kva.example")
    dana = sign_in(cast.dana)
    for typed in ("bob@müller.example", "MÜLLER.example", "xn--mller", "bob@mu\u0308ller"):
        page = text_of(dana.get(USERS, {"q": typed}))
        assert "bob@müller.example" in page, typed
        assert cast.charlie.name not in page
    assert "bob@müller.example" in text_of(dana.get(USERS, {"format": "csv"}))
    group = {"name": "Auditors", "is_active": "on", "addresses": "Bob@müller.example nobody@straße.example"}
    refused = dana.post(f"{GROUPS}new/", group)
    assert "nobody@straße.example" in text_of(refused)
    assert "No active user of this tenancy has this address: nobody@" in text_of(refused), "Bob is found"


def test_an_invited_new_user_chooses_a_password_and_is_signed_in(cast: Cast) -> None:
    invite(cast, "Ivan@Example.com")
    invitation = Invitation.objects.get()
    path, client = path_of(invitation), Client()
    page = client.get(path)
    assert page.status_code == 200
    assert 'name="password1"' in text_of(page)
    form = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD, "time_zone": "Asia/Tokyo"}
    assert errors_of(client.post(path, {**form, "password2": "other"})) == {"password2"}
    assert errors_of(client.post(path, {**form, "password1": "1", "password2": "1"})) == {"password1"}
    response = client.post(path, form)
    assert response.status_code == 302
    assert response["Location"] == MENU
    assert client.get(MENU).status_code == 200
    member = Member.objects.get(user__email="ivan@example.com")
    assert (member.name, member.is_administrator, member.user.time_zone) == ("Ivan Ivanov", False, "Asia/Tokyo")
    again = Client().post("/accounts/login/", {"login": "IVAN@example.com", "password": NEW_PASSWORD})
    assert again.status_code == 302
    assert Client().get(path).status_code == 410, "the link can be used only once"
    assert Client().post(path, form).status_code == 410


def test_an_invited_existing_user_signs_in_and_accepts_with_one_button(cast: Cast) -> None:
    invite(cast, cast.erin.user.email, "Erin at Northwind")
    path, erin = path_of(Invitation.objects.get()), sign_in(cast.erin)
    stranger = Client().get(path)
    assert stranger.status_code == 200
    assert "/accounts/login/?next=" in text_of(stranger)
    assert 'name="password1"' not in text_of(stranger)
    assert "Accept invitation" in text_of(erin.get(path))
    assert not Member.objects.filter(tenancy=cast.northwind, user=cast.erin.user).exists(), "not accepted yet"
    assert erin.post(path)["Location"] == MENU
    assert Member.objects.get(tenancy=cast.northwind, user=cast.erin.user).name == "Erin at Northwind"
    assert erin.get(path).status_code == 410
    home = erin.get("/")
    assert home.status_code == 200
    assert "/aurora/" in text_of(home)
    assert MENU in text_of(home)


def test_only_the_invited_user_can_accept_with_the_link(cast: Cast) -> None:
    invite(cast, cast.erin.user.email)
    path = path_of(Invitation.objects.get())
    form = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD, "time_zone": "UTC"}
    for client in (Client(), sign_in(cast.charlie)):
        assert client.post(path, form).status_code == 200
    assert not Member.objects.filter(tenancy=cast.northwind, user=cast.erin.user).exists()
    assert User.objects.get(pk=cast.erin.user_id).check_password(PASSWORD)


def test_the_link_shows_other_users_who_is_signed_in_and_changes_nothing(cast: Cast) -> None:
    invite(cast, cast.erin.user.email)
    path, charlie = path_of(Invitation.objects.get()), sign_in(cast.charlie)
    page = text_of(charlie.get(path))
    assert cast.charlie.user.email in page
    assert "Sign out" in page
    assert charlie.post(path).status_code == 200
    assert Invitation.objects.exists()


@pytest.mark.parametrize("reason", ["expired", "sent again", "withdrawn"])
def test_a_link_that_is_no_longer_valid_is_a_410(cast: Cast, reason: str) -> None:
    invite(cast, "ivan@example.com")
    invitation = Invitation.objects.get()
    path = path_of(invitation)
    assert Client().get(path).status_code == 200
    if reason == "expired":
        invitation.requested_at -= Invitation.LIFETIME
        invitation.save()
        path = path_of(invitation)
    elif reason == "sent again":
        renew(invitation)
        assert Client().get(path_of(invitation)).status_code == 200
    else:
        assert sign_in(cast.dana).post(f"{USERS}invitations/{invitation.pk}/withdraw/").status_code == 302
    assert Client().get(path).status_code == 410


def test_a_forged_link_is_a_404(cast: Cast) -> None:
    invite(cast, "ivan@example.com")
    path = path_of(Invitation.objects.get())
    for forged in (path[:-3] + "xx/", "/invitations/x/", "/invitations/a:b:c/"):
        assert Client().get(forged).status_code == 404


# -- The user's own account --------------------------------------------------------------------------------------------


def test_requesting_a_new_password_looks_the_same_for_known_and_unknown_addresses(cast: Cast) -> None:
    create_user("known@example.com", NEW_PASSWORD)
    responses = []
    for email in ("known@example.com", "nobody@example.com"):
        with CaptureQueriesContext(connection) as queries:
            response = Client().post(RESET, {"email": email})
        statements = [re.sub(r"'[^']*'", "?", query["sql"]) for query in queries.captured_queries]
        page = Client().get(response["Location"])
        responses.append((response.status_code, response["Location"], page.content, dict(response.headers), statements))
    assert responses[0] == responses[1]
    assert responses[0][0] == 302


@pytest.mark.parametrize("is_known", [True, False])
def test_a_new_password_is_requested_once_a_minute_and_five_times_a_day_at_most(
    cast: Cast, settings: Any, is_known: bool
) -> None:
    settings.ACCOUNT_RATE_LIMITS = ACCOUNT_RATE_LIMITS
    email = f"{uuid4()}@example.com"
    if is_known:
        create_user(email, NEW_PASSWORD)

    def request(typed: str) -> int:
        return Client().post(RESET, {"email": typed}).status_code

    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(5):
            assert request(email) == 302
            clock.shift(50)
            assert request(email.upper()) == 429, "within the same minute"
            clock.shift(11)
        assert request(email) == 429, "for the sixth time"
        assert request(f"{uuid4()}@example.com") == 302, "other addresses are not concerned"
        clock.shift(timedelta(days=1))
        assert request(email) == 302
    assert PasswordResetRequest.objects.filter(email=email).count() == 6


def test_signing_in_with_a_wrong_password_looks_the_same_for_known_and_unknown_addresses(cast: Cast) -> None:
    pages = []
    for email in (cast.bob.user.email, "nobody@example.com"):
        response = Client().post("/accounts/login/", {"login": email, "password": "wrong password"})
        pages.append((response.status_code, normalised(response, email)))
    assert pages[0] == pages[1]


def test_there_is_no_sign_up(cast: Cast) -> None:
    for path in ("/accounts/signup/", "/accounts/email/", "/accounts/confirm-email/x/", "/admin/", "/accounts/social/"):
        assert Client().get(path).status_code == 404 or "/accounts/login/" in Client().get(path).get("Location", "")
        assert sign_in(cast.bob).get(path).status_code == 404


def test_times_are_shown_in_the_time_zone_of_the_profile(cast: Cast) -> None:
    message = post(cast.payments, cast.alice)
    bob = sign_in(cast.bob)
    for zone, language, time_format in (
        ("UTC", "en-gb", "%H:%M"),
        ("Pacific/Kiritimati", "en-gb", "%H:%M"),
        ("Asia/Kathmandu", "en-gb", "%H:%M"),
    ):
        form = {"time_zone": zone, "language": language, "appearance": "dark"}
        assert bob.post(PROFILE, form).status_code == 302
        times = re.findall(
            r'<a class="message-time"[^>]*><time[^>]*>([^<]*)</time>', text_of(bob.get(thread(cast.payments)))
        )
        assert times == [message.posted_at.astimezone(ZoneInfo(zone)).strftime(time_format)]


def test_the_language_setting_is_called_date_format(cast: Cast) -> None:
    alice = sign_in(cast.alice)
    assert cast.alice.is_messenger_manager, "or the second page is not hers"
    profile, settings_of_topic = (text_of(alice.get(path)) for path in (PROFILE, thread(cast.payments) + "edit/"))
    assert re.search(r'<label\s+for="id_language"[^>]*>\s*Date format', profile)
    for page in (profile, settings_of_topic):
        assert "date format" in page.lower()
        assert "language" not in re.sub("<[^>]*>", "", page).lower(), "there is only one language"
    moment = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)
    assert [language for language, _ in settings.LANGUAGES] == ["en-gb", "en"]
    for language in ("en-gb", "en"):
        with translation.override(language):
            example = date_format(moment, "DATETIME_FORMAT")
        assert re.search(rf'<option value="{language}"[^>]*>{re.escape(example)}</option>', profile)


@pytest.mark.parametrize("language", ["en-gb", "en"])
def test_the_page_names_its_language_and_appearance(cast: Cast, language: str) -> None:
    User.objects.filter(pk=cast.bob.user_id).update(language=language, appearance="dark")
    page = text_of(sign_in(cast.bob).get(MENU))
    assert f'<html lang="{language}" data-appearance="dark"' in page


@pytest.mark.parametrize("field", ["time_zone", "language", "appearance"])
def test_the_profile_accepts_only_valid_choices(cast: Cast, field: str) -> None:
    form = {"time_zone": "UTC", "language": "en", "appearance": "dark", field: "../../etc/passwd"}
    assert errors_of(sign_in(cast.bob).post(PROFILE, form)) == {field}


def test_a_day_begins_at_midnight_in_the_readers_time_zone(cast: Cast) -> None:
    midnight = (timezone.now() - timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)
    for offset in (-30, 30):
        message = post(cast.payments, cast.alice)
        Message.objects.filter(pk=message.pk).update(posted_at=midnight + timedelta(minutes=offset))
    days = {}
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        User.objects.filter(pk=cast.bob.user_id).update(time_zone=zone)
        days[zone] = re.findall(r'data-day="([\d-]+)"', text_of(sign_in(cast.bob).get(thread(cast.payments))))
    before, after = (midnight - timedelta(minutes=30)).date().isoformat(), midnight.date().isoformat()
    assert days == {"UTC": [before, after], "Asia/Tokyo": [after], "America/New_York": [before]}


def test_following_messages_do_not_repeat_the_heading_of_their_day(cast: Cast) -> None:
    for _ in range(60):
        post(cast.payments, cast.alice)
    Message.objects.update(posted_at=timezone.now())
    bob = sign_in(cast.bob)
    assert text_of(bob.get(messages(cast.payments), {"after": 55})).count("data-day") == 0
    # Every earlier page begins with its day; the script removes the duplicate heading.
    assert text_of(bob.get(messages(cast.payments), {"before": 61})).count("data-day") == 1
    assert text_of(bob.get(messages(cast.payments), {"before": 11})).count("data-day") == 1


def test_users_of_one_tenancy_go_straight_to_it_and_users_of_two_choose(cast: Cast) -> None:
    assert sign_in(cast.bob).get("/")["Location"] == MENU
    Member.objects.create(tenancy=cast.aurora, user=cast.bob.user, name="Robert")
    page = text_of(sign_in(cast.bob).get("/"))
    assert MENU in page
    assert "/aurora/" in page


def test_the_preference_for_own_messages_is_saved(cast: Cast) -> None:
    bob, path = sign_in(cast.bob), TOPICS + "preferences/"
    assert bob.get(path).context["form"]["own_messages"].value() is False
    assert bob.post(path, {"own_messages": "on"}).status_code == 302
    assert bob.get(path).context["form"]["own_messages"].value() is True
