"""Members of a tenancy: administrators, invitations, password resets, and the operator's commands."""

import io
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.conf import settings as product_settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import transaction
from django.http import HttpRequest
from django.urls import get_resolver
from django.utils import timezone

from accounts.forms import ResetPasswordForm
from accounts.models import PasswordResetRequest, User
from accounts.passwords import note_reset_request, send_resets
from accounts.users import create_user
from tenancy.invitations import accept, find_invitation, link_of, renew, send_due_invitations
from tenancy.members import LastAdministratorError, save_member
from tenancy.models import Invitation, Member, Tenancy
from tenancy.validators import RESERVED_SLUGS
from tests.support.cast import PASSWORD, Cast, make_member
from tests.support.concurrency import PATIENCE, another_connection_waits_for_a_lock, start, together
from tests.support.faults import mail_server_away
from tests.support.smtp import SmtpServer

in_one_transaction = pytest.mark.django_db
on_the_real_database = pytest.mark.django_db(transaction=True)


# -- The last administrator ----------------------------------------------------------------------------


def resign(member: Member) -> None:
    member.is_administrator = False
    save_member(member)


def deactivate(member: Member) -> None:
    member.is_active = False
    save_member(member)


each_way_to_leave = pytest.mark.parametrize("leave", [resign, deactivate])


@in_one_transaction
@each_way_to_leave
def test_the_last_administrator_can_not_leave(cast: Cast, leave: Any) -> None:
    with pytest.raises(LastAdministratorError):
        leave(cast.dana)
    cast.dana.refresh_from_db()
    assert (cast.dana.is_active, cast.dana.is_administrator) == (True, True)


@in_one_transaction
@each_way_to_leave
def test_one_of_two_administrators_can_leave(cast: Cast, leave: Any) -> None:
    make_member(cast.northwind, "Olga Other", is_administrator=True)
    leave(cast.dana)
    assert not cast.northwind.members.administrators().contains(cast.dana)


@in_one_transaction
@each_way_to_leave
@pytest.mark.parametrize("flaw", ["membership", "user", "tenancy"])
def test_inactive_administrators_and_those_of_other_tenancies_do_not_count(cast: Cast, leave: Any, flaw: str) -> None:
    tenancy = cast.aurora if flaw == "tenancy" else cast.northwind
    other = make_member(tenancy, "Olga Other", is_administrator=True, is_active=flaw != "membership")
    if flaw == "user":
        User.objects.filter(pk=other.user_id).update(is_active=False)
    with pytest.raises(LastAdministratorError):
        leave(cast.dana)


@in_one_transaction
def test_everything_else_about_the_last_administrator_can_change(cast: Cast) -> None:
    cast.dana.name, cast.dana.is_messenger_manager = "Dana Novak", True
    save_member(cast.dana)
    cast.dana.refresh_from_db()
    assert (cast.dana.name, cast.dana.is_messenger_manager) == ("Dana Novak", True)


@in_one_transaction
def test_saving_a_member_does_not_change_their_user(cast: Cast) -> None:
    cast.bob.tenancy, cast.bob.user = cast.northwind, cast.erin.user
    save_member(cast.bob)
    assert Member.objects.get(pk=cast.bob.pk).user.email == "bob@northwind.example"


@on_the_real_database
@each_way_to_leave
def test_two_administrators_who_remove_each_other_leave_one(cast: Cast, leave: Any) -> None:
    olga = make_member(cast.northwind, "Olga Other", is_administrator=True)
    for _ in range(5):
        Member.objects.filter(pk__in=[cast.dana.pk, olga.pk]).update(is_active=True, is_administrator=True)
        pair = Member.objects.filter(pk__in=[cast.dana.pk, olga.pk])
        results = together([lambda member=member: leave(member) for member in pair])  # type: ignore[misc]
        assert sorted(map(type, results), key=str) == sorted([LastAdministratorError, type(None)], key=str)
        assert cast.northwind.members.administrators().count() == 1


@on_the_real_database
def test_the_second_to_leave_waits_for_the_first(cast: Cast) -> None:
    """Without the lock, each would still count the other as an administrator."""
    olga = make_member(cast.northwind, "Olga Other", is_administrator=True)
    with transaction.atomic():
        resign(cast.dana)
        second = start(lambda: resign(olga))
        assert another_connection_waits_for_a_lock()
    assert isinstance(second.exception(PATIENCE), LastAdministratorError)


# -- Invitations ---------------------------------------------------------------------------------------


@pytest.fixture
def invitation(cast: Cast) -> Invitation:
    return Invitation.objects.create(
        tenancy=cast.northwind,
        email="fay@elsewhere.example",
        name="Fay Fischer",
        is_messenger_manager=True,
        invited_by=cast.dana,
    )


def key_of(invitation: Invitation) -> str:
    return link_of(invitation).rstrip("/").rsplit("/", 1)[-1]


@in_one_transaction
def test_the_link_finds_its_invitation(invitation: Invitation) -> None:
    assert link_of(invitation).startswith("http://messenger.test/invitations/")
    assert find_invitation(key_of(invitation)) == invitation


@in_one_transaction
def test_forged_links_are_refused(invitation: Invitation) -> None:
    key = key_of(invitation)
    other_purpose = signing.dumps([invitation.pk, invitation.requested_at.isoformat()], salt="another")
    for forged in (key[:-1], key[1:], key[::-1], "", "a:b:c", other_purpose):
        with pytest.raises(signing.BadSignature):
            find_invitation(forged)


@in_one_transaction
def test_the_link_contains_no_personal_data(invitation: Invitation) -> None:
    content = signing.b64_decode(key_of(invitation).split(":")[0].encode())
    assert str(invitation.pk).encode() in content, "or the test proves nothing"
    assert b"fay" not in content.lower()


@in_one_transaction
def test_a_link_is_valid_for_fourteen_days(invitation: Invitation) -> None:
    with time_machine.travel(invitation.requested_at, tick=False) as clock:
        clock.shift(timedelta(days=14) - timedelta(seconds=1))
        assert find_invitation(key_of(invitation)) == invitation
        clock.shift(timedelta(seconds=1))
        assert find_invitation(key_of(invitation)) is None


@in_one_transaction
def test_renewing_gives_fourteen_more_days_to_the_new_link_only(invitation: Invitation) -> None:
    old = key_of(invitation)
    with time_machine.travel(timezone.now() + timedelta(days=20)):
        renew(invitation)
        assert find_invitation(old) is None
        assert find_invitation(key_of(invitation)) == invitation


@in_one_transaction
def test_a_withdrawn_invitation_is_not_found(invitation: Invitation) -> None:
    key = key_of(invitation)
    invitation.delete()
    assert find_invitation(key) is None


@in_one_transaction
def test_accepting_creates_the_invited_member(cast: Cast, invitation: Invitation) -> None:
    key = key_of(invitation)
    member = accept(invitation, create_user(invitation.email, PASSWORD))
    assert (member.tenancy, member.name) == (cast.northwind, "Fay Fischer")
    assert (member.is_administrator, member.is_messenger_manager, member.is_active) == (False, True, True)
    assert find_invitation(key) is None
    assert not Invitation.objects.exists()


@in_one_transaction
def test_accepting_a_second_time_changes_nothing(invitation: Invitation) -> None:
    again = Invitation.objects.get()
    user = create_user(invitation.email, PASSWORD)
    first = accept(invitation, user)
    first.is_messenger_manager = False
    first.save()
    with suppress(Invitation.DoesNotExist):
        accept(again, user)
    first.refresh_from_db()
    assert not first.is_messenger_manager
    assert Member.objects.filter(user=user).count() == 1


@in_one_transaction
def test_an_old_invitation_does_not_reactivate_a_member(cast: Cast, invitation: Invitation) -> None:
    Member.objects.filter(pk=cast.bob.pk).update(is_active=False)
    member = accept(invitation, cast.bob.user)
    member.refresh_from_db()
    assert member == cast.bob
    assert not member.is_active
    assert not member.is_messenger_manager


@on_the_real_database
def test_accepting_twice_at_the_same_time_creates_one_member(cast: Cast, invitation: Invitation) -> None:
    user = create_user(invitation.email, PASSWORD)
    both = [Invitation.objects.get(), Invitation.objects.get()]
    results = together([lambda each=each: accept(each, user) for each in both])  # type: ignore[misc]
    assert Member.objects.get(user=user) in results


@on_the_real_database
def test_an_invitation_withdrawn_in_the_meantime_can_not_be_accepted(invitation: Invitation) -> None:
    """The page has found it, but the administrator withdraws it before it is accepted."""
    found = find_invitation(key_of(invitation))
    assert found, "or the test proves nothing"
    user = create_user(invitation.email, PASSWORD)
    Invitation.objects.all().delete()
    with suppress(Exception):  # whichever exception it raises
        accept(found, user)
    assert not Member.objects.filter(user=user).exists()


@in_one_transaction
def test_an_invitation_is_mailed_once(cast: Cast, invitation: Invitation, smtp: SmtpServer) -> None:
    for _ in range(3):
        send_due_invitations()
    assert smtp.recipients == ["fay@elsewhere.example"]
    (mail,) = smtp.mails
    body = mail.get_body(("plain",))
    assert body is not None
    assert link_of(Invitation.objects.get()) in body.get_content()
    assert mail["To"] == "fay@elsewhere.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "Northwind" in mail["Subject"]


@in_one_transaction
def test_renewing_mails_the_new_link(invitation: Invitation, smtp: SmtpServer) -> None:
    send_due_invitations()
    renew(invitation)
    send_due_invitations()
    first, second = (mail.get_body(("plain",)).get_content() for mail in smtp.mails)  # type: ignore[union-attr]
    assert link_of(invitation) in second
    assert link_of(invitation) not in first


@in_one_transaction
def test_known_and_unknown_addresses_get_the_same_mail(cast: Cast, smtp: SmtpServer) -> None:
    """A tenancy must not find out that an address is known in another one."""
    at = timezone.now()
    bodies = []
    for email in (cast.erin.user.email, "nobody@elsewhere.example"):
        Invitation.objects.create(
            tenancy=cast.northwind, email=email, name="Erin", invited_by=cast.dana, requested_at=at
        )
    send_due_invitations()
    for mail, invited in zip(smtp.mails, Invitation.objects.order_by("pk"), strict=True):
        body = mail.get_body(("plain",))
        assert body is not None
        bodies.append(body.get_content().replace(link_of(invited), "LINK"))
    assert bodies[0] == bodies[1]


@in_one_transaction
def test_an_invitation_stays_due_while_the_mail_server_is_unavailable(
    invitation: Invitation, smtp: SmtpServer, settings: Any
) -> None:
    with mail_server_away(settings), suppress(OSError):
        send_due_invitations()
    invitation.refresh_from_db()
    assert (invitation.emailed_at, invitation.failure) == (None, "")
    send_due_invitations()
    assert smtp.recipients == ["fay@elsewhere.example"]


@in_one_transaction
def test_an_unavailable_mail_server_does_not_fail_the_task(
    invitation: Invitation, smtp: SmtpServer, settings: Any
) -> None:
    note_reset_request("bob@northwind.example")
    with mail_server_away(settings):
        send_due_invitations()
        send_resets()


@in_one_transaction
def test_a_refused_address_is_recorded_and_does_not_delay_others(
    cast: Cast, invitation: Invitation, smtp: SmtpServer
) -> None:
    Invitation.objects.create(tenancy=cast.northwind, email="gus@x.example", name="Gus", invited_by=cast.dana)
    smtp.refusals[invitation.email] = "550 No such user"
    send_due_invitations()
    assert smtp.recipients == ["gus@x.example"]
    invitation.refresh_from_db()
    assert "550" in invitation.failure
    assert invitation.emailed_at is None
    smtp.refusals.clear()
    send_due_invitations()
    assert smtp.recipients == ["gus@x.example"], "final until it is renewed"
    renew(invitation)
    send_due_invitations()
    assert smtp.recipients == ["gus@x.example", invitation.email]


@in_one_transaction
def test_a_temporarily_refused_address_is_tried_again(invitation: Invitation, smtp: SmtpServer) -> None:
    smtp.refusals[invitation.email] = "450 Mailbox busy"
    send_due_invitations()
    smtp.refusals.clear()
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        send_due_invitations()
    assert smtp.recipients == [invitation.email]


@on_the_real_database
def test_two_workers_mail_an_invitation_once(invitation: Invitation, smtp: SmtpServer) -> None:
    assert together([send_due_invitations, send_due_invitations]) == [None, None]
    assert smtp.recipients == [invitation.email]


# -- Password resets -----------------------------------------------------------------------------------


@in_one_transaction
def test_requesting_a_new_password_writes_the_same_row_for_known_and_unknown_addresses(
    cast: Cast, django_assert_num_queries: Any
) -> None:
    for email in (" BOB@Northwind.example ", "nobody@northwind.example"):
        with django_assert_num_queries(1):
            request = note_reset_request(email)
        assert request.email == email.strip().lower()
    assert PasswordResetRequest.objects.count() == 2


@in_one_transaction
def test_only_active_users_get_a_reset_mail(cast: Cast, smtp: SmtpServer) -> None:
    User.objects.filter(pk=cast.charlie.user_id).update(is_active=False)
    for email in ("Bob@northwind.example", "nobody@northwind.example", cast.charlie.user.email):
        note_reset_request(email)
    send_resets()
    assert smtp.recipients == [cast.bob.user.email]
    assert not PasswordResetRequest.objects.exists()
    body = smtp.mails[0].get_body(("plain",))
    assert body is not None
    assert "http://messenger.test/accounts/password/reset/key/" in body.get_content()


@in_one_transaction
def test_a_request_stays_while_the_mail_server_is_unavailable(cast: Cast, smtp: SmtpServer, settings: Any) -> None:
    note_reset_request(cast.bob.user.email)
    with mail_server_away(settings), suppress(OSError):
        send_resets()
    assert PasswordResetRequest.objects.count() == 1
    send_resets()
    assert smtp.recipients == [cast.bob.user.email]


@in_one_transaction
def test_a_request_older_than_a_day_is_deleted(cast: Cast, smtp: SmtpServer) -> None:
    note_reset_request(cast.bob.user.email)
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        send_resets()
    assert smtp.recipients == []
    assert not PasswordResetRequest.objects.exists()


@in_one_transaction
@pytest.mark.parametrize("length", [254, 255, 320, 400])
def test_an_address_of_any_length_is_either_an_error_or_recorded(cast: Cast, length: int) -> None:
    domain = "@" + ".".join(["d" * 60] * 2) + ".example"
    form = ResetPasswordForm({"email": "x" * (length - len(domain)) + domain})
    if form.is_valid():
        form.save(HttpRequest())
        assert PasswordResetRequest.objects.count() == 1


def test_the_tasks_for_rows_that_are_due_run_periodically() -> None:
    """The queue may lose a task, so each of these also runs by itself (decision 0006)."""
    periodic = {entry["task"] for entry in product_settings.CELERY_BEAT_SCHEDULE.values()}
    assert {
        "accounts.tasks.send_password_resets",
        "tenancy.tasks.send_due_invitations",
        "messenger.tasks.sweep",
    } <= periodic


# -- Slugs and the operator's commands -----------------------------------------------------------------


@pytest.mark.parametrize("slug", ["ab", "northwind", "a1", "acme-2", "a" + "b" * 48, "admins", "live-chat"])
def test_a_slug_is_lower_case_letters_digits_and_hyphens(slug: str) -> None:
    assert Tenancy._meta.get_field("slug").clean(slug, None) == slug


@pytest.mark.parametrize(
    "slug",
    [
        *(
            "",
            "a",
            "1a",
            "-a",
            "Acme",
            "a_b",
            "a b",
            "a.b",
            "a/b",
            "ab\n",
            "\nab",
            "é-a",
            "аcme",
            "a\0b",
            "a" * 50,
        ),
        *sorted(RESERVED_SLUGS),
    ],
)
def test_other_slugs_are_refused(slug: str) -> None:
    with pytest.raises(ValidationError):
        Tenancy._meta.get_field("slug").clean(slug, None)


def test_the_first_part_of_every_path_outside_tenancies_is_reserved() -> None:
    first_parts = {str(entry.pattern).lstrip("^").split("/")[0] for entry in flat(get_resolver().url_patterns)}
    first_parts = {part for part in first_parts if part and not part.startswith(("<", "("))}
    assert {"accounts", "healthz", "invitations"} <= first_parts, "or the test proves nothing"
    assert first_parts - RESERVED_SLUGS == set()
    assert product_settings.STATIC_URL.strip("/") in RESERVED_SLUGS


def flat(entries: list[Any]) -> Iterator[Any]:
    """The entries of a URL configuration, including those of includes without a prefix."""
    for entry in entries:
        if str(entry.pattern) or not hasattr(entry, "url_patterns"):
            yield entry
        else:
            yield from flat(entry.url_patterns)


@in_one_transaction
def test_the_operator_creates_a_tenancy_with_messenger_off() -> None:
    out = io.StringIO()
    call_command("createtenancy", "acme", name="  Acme  Ltd ", stdout=out)
    tenancy = Tenancy.objects.get(slug="acme")
    assert (tenancy.name, tenancy.messenger_enabled) == ("Acme Ltd", False)
    assert "/acme/" in out.getvalue()


@in_one_transaction
@pytest.mark.parametrize(
    ("slug", "name"),
    [
        ("admin", "Acme"),
        ("northwind", "Acme"),
        ("Acme", "Acme"),
        ("acme", ""),
        ("acme", "Ac\nme"),
        ("acme", "x" * 121),
    ],
)
def test_an_invalid_tenancy_is_not_created(cast: Cast, slug: str, name: str) -> None:
    with pytest.raises(CommandError):
        call_command("createtenancy", slug, name=name)
    assert Tenancy.objects.count() == 2


def create_member(
    monkeypatch: pytest.MonkeyPatch, slug: str, email: str, password: str = PASSWORD, **roles: Any
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    options = {"name": "Fay Fischer", "stdout": io.StringIO(), **roles}
    call_command("createmember", slug, email, "--password-stdin", **options)


@in_one_transaction
def test_the_operator_creates_the_first_administrator(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    create_member(monkeypatch, "northwind", "Fay@Elsewhere.example", administrator=True)
    member = Member.objects.get(user__email="fay@elsewhere.example")
    assert (member.tenancy, member.name) == (cast.northwind, "Fay Fischer")
    assert (member.is_administrator, member.is_messenger_manager, member.is_active) == (True, False, True)
    assert member.user.check_password(PASSWORD)


@in_one_transaction
def test_an_existing_user_is_added_and_keeps_their_password(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    create_member(monkeypatch, "northwind", cast.erin.user.email.upper(), "another horse", messenger_manager=True)
    member = Member.objects.get(tenancy=cast.northwind, user=cast.erin.user)
    assert member.is_messenger_manager
    assert member.user.check_password(PASSWORD)
    assert cast.erin.user.memberships.count() == 2


@in_one_transaction
def test_an_existing_user_is_added_whatever_the_spelling_of_the_domain(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_member(monkeypatch, "northwind", "Fay@MÜLLER.example")
    create_member(monkeypatch, "aurora", "fay@xn--mller-kva.example")
    fay = User.objects.get(email="fay@xn--mller-kva.example")
    assert set(fay.memberships.values_list("tenancy", flat=True)) == {cast.northwind.pk, cast.aurora.pk}
    for email in ("fay@müller.example", "FAY@XN--MLLER-KVA.example"):
        with pytest.raises(CommandError):
            create_member(monkeypatch, "northwind", email)


@in_one_transaction
@pytest.mark.parametrize(
    ("slug", "email", "password", "name"),
    [
        ("nowhere", "fay@x.example", PASSWORD, "Fay"),
        ("northwind", "no address", PASSWORD, "Fay"),
        ("northwind", "fay@x.example", "short", "Fay"),
        ("northwind", "fay@x.example", "password123", "Fay"),
        ("northwind", "fay@x.example", "fay@x.example", "Fay"),
        ("northwind", "fay@x.example", "", "Fay"),
        ("northwind", "fay@x.example", PASSWORD, "F\nay"),
        ("northwind", "fay@x.example", PASSWORD, ""),
        ("northwind", "bob@northwind.example", PASSWORD, "Bob again"),
    ],
)
def test_an_invalid_member_leaves_no_rows_behind(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, slug: str, email: str, password: str, name: str
) -> None:
    before = User.objects.count(), Member.objects.count()
    with pytest.raises(CommandError):
        create_member(monkeypatch, slug, email, password, name=name)
    assert (User.objects.count(), Member.objects.count()) == before


@in_one_transaction
@pytest.mark.parametrize("email", ["fay@x.example", " Fay@X.Example "])
def test_the_address_of_a_new_user_is_stored_in_lower_case(email: str) -> None:
    user = create_user(email, PASSWORD, time_zone="Asia/Kolkata")
    user.refresh_from_db()
    assert (user.email, user.time_zone) == ("fay@x.example", "Asia/Kolkata")
    assert User.objects.with_address(" FAY@x.example").get() == user


@in_one_transaction
def test_a_random_key_finds_no_invitation() -> None:
    with pytest.raises(signing.BadSignature):
        find_invitation(str(uuid4()))
