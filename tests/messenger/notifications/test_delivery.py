"""From decisions to mails, over a real SMTP server: each mail that is due is sent, once, and only to its addressee."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from threading import Barrier, Event, get_ident
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.core.mail import get_connection
from django.db import transaction
from django.utils import timezone, translation
from kombu.exceptions import OperationalError

from accounts.models import User
from common.mail import sending
from ippex_messenger.celery import app
from messenger import events, tasks
from messenger.groups.services import save_group
from messenger.models import Delivery, MailPreference, Message, MessengerGroup, Topic
from messenger.notifications.delivery import outbox
from messenger.notifications.delivery.cancellation import cancel_for_topic
from messenger.notifications.delivery.mails import message_mail
from messenger.notifications.preferences import services as preferences
from messenger.notifications.preferences.services import set_muted
from messenger.tasks import notify_members, sweep
from tenancy.members import save_member, set_messenger_enabled
from tenancy.models import Member, Tenancy
from tests.support.cast import Cast, age, make_member, post
from tests.support.concurrency import PATIENCE, another_connection_waits_for_a_lock, start, together
from tests.support.faults import LimitedServer, mail_server_away, mailing_to, redis_away
from tests.support.smtp import SmtpServer

in_one_transaction = pytest.mark.django_db
on_the_real_database = pytest.mark.django_db(transaction=True)

LATER = timedelta(minutes=5)
FAILURE = RuntimeError("staged failure")


@pytest.fixture
def crowd(cast: Cast) -> list[Member]:
    """Add Charlie, Mallory and three more to the group; returns all members but Alice."""
    crowd = [make_member(cast.northwind, f"{name} Crowd") for name in ("Fay", "Gus", "Hal")]
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie, cast.mallory, *crowd])
    return [cast.bob, cast.charlie, cast.mallory, *crowd]


def addresses(*members: Member) -> list[str]:
    return sorted(member.user.email for member in members)


def record(message: Message, member: Member) -> tuple[str, str]:
    delivery = Delivery.objects.get(message=message, member=member)
    return delivery.state, delivery.reason


# -- Recipients ----------------------------------------------------------------------------------------


@in_one_transaction
def test_each_member_except_the_author_gets_a_mail_of_their_own(
    cast: Cast, crowd: list[Member], smtp: SmtpServer
) -> None:
    message = post(cast.payments, cast.alice)
    notify_members(message.pk)
    assert sorted(smtp.recipients) == addresses(*crowd)
    assert all(len(envelope.rcpt_tos) == 1 for envelope in smtp.envelopes)
    assert [mail["To"] for mail in smtp.mails] == smtp.recipients
    assert not any(mail["Cc"] or mail["Bcc"] for mail in smtp.mails)
    assert record(message, cast.alice) == ("not_sent", "author")
    assert {record(message, member) for member in crowd} == {("sent", "")}


@in_one_transaction
def test_an_author_who_wants_own_messages_gets_a_mail_too(cast: Cast, smtp: SmtpServer) -> None:
    MailPreference.objects.create(member=cast.alice, own_messages=True)
    MailPreference.objects.create(member=cast.bob, own_messages=False)
    notify_members(post(cast.payments, cast.alice).pk)
    assert sorted(smtp.recipients) == addresses(cast.alice, cast.bob)


@in_one_transaction
def test_a_message_within_the_interval_is_not_mailed(cast: Cast, smtp: SmtpServer) -> None:
    notify_members(post(cast.payments, cast.alice).pk)
    silent = post(cast.payments, cast.alice)
    assert silent.outcome == "no_email", "or the test proves nothing"
    notify_members(silent.pk)
    sweep()
    assert smtp.recipients == addresses(cast.bob)
    assert not Delivery.objects.filter(message=silent).exists()


@in_one_transaction
def test_a_member_who_joins_after_the_message_gets_no_mail(cast: Cast, smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    notify_members(message.pk)
    assert smtp.recipients == addresses(cast.bob)


# By the reason that is then recorded.
CHANGES_WITHOUT_CANCELLATION: dict[str, Callable[[Cast], object]] = {
    "left": lambda cast: cast.bob.group_memberships.update(left_at=timezone.now(), left_roster=1),
    "member_inactive": lambda cast: Member.objects.filter(pk=cast.bob.pk).update(is_active=False),
    "member_inactive, as a person": lambda cast: User.objects.filter(pk=cast.bob.user_id).update(is_active=False),
    "topic_inactive": lambda cast: Topic.objects.update(is_active=False),
    "group_inactive": lambda cast: MessengerGroup.objects.update(is_active=False),
    "messenger_off": lambda cast: Tenancy.objects.update(messenger_enabled=False),
}


@in_one_transaction
@pytest.mark.parametrize("fanned_out", [True, False])
@pytest.mark.parametrize("change", CHANGES_WITHOUT_CANCELLATION)
def test_access_is_checked_again_before_a_mail_is_sent(
    cast: Cast, smtp: SmtpServer, change: str, fanned_out: bool
) -> None:
    """Even if the change bypassed everything that cancels mails."""
    message = post(cast.payments, cast.alice)
    if fanned_out:
        outbox.fan_out(message.pk)
        assert record(message, cast.bob) == ("waiting", ""), "or the test proves nothing"
    CHANGES_WITHOUT_CANCELLATION[change](cast)
    sweep()
    assert smtp.recipients == []
    assert record(message, cast.bob) == ("not_sent", change.partition(",")[0])


# -- Refusals and unreachable servers ------------------------------------------------------------------


@in_one_transaction
def test_a_permanently_refused_address_delays_no_other_mail(cast: Cast, crowd: list[Member], smtp: SmtpServer) -> None:
    smtp.refusals[cast.bob.user.email] = "550 No such user"
    message = post(cast.payments, cast.alice)
    notify_members(message.pk)
    others = [member for member in crowd if member != cast.bob]
    assert sorted(smtp.recipients) == addresses(*others)
    assert record(message, cast.bob) == ("failed", "refused")
    assert "550" in Delivery.objects.get(member=cast.bob).last_error
    smtp.refusals.clear()
    with time_machine.travel(timezone.now() + LATER):
        sweep()
    assert sorted(smtp.recipients) == addresses(*others), "final"


@in_one_transaction
def test_a_temporarily_refused_address_gets_its_mail_later(cast: Cast, crowd: list[Member], smtp: SmtpServer) -> None:
    smtp.refusals[cast.bob.user.email] = "450 Mailbox busy"
    message = post(cast.payments, cast.alice)
    notify_members(message.pk)
    assert cast.bob.user.email not in smtp.recipients
    assert len(smtp.recipients) == len(crowd) - 1, "the others are not held up"
    smtp.refusals.clear()
    sweep()
    assert cast.bob.user.email not in smtp.recipients, "not at once"
    with time_machine.travel(timezone.now() + LATER):
        sweep()
    assert smtp.recipients.count(cast.bob.user.email) == 1
    assert record(message, cast.bob) == ("sent", "")
    assert Delivery.objects.get(member=cast.bob).attempts == 1


@in_one_transaction
def test_delays_between_attempts_grow_and_attempts_end_after_a_day(cast: Cast, smtp: SmtpServer) -> None:
    smtp.refusals[cast.bob.user.email] = "450 Mailbox busy"
    delays, begun = [], timezone.now()
    with time_machine.travel(begun, tick=False) as clock:
        message = post(cast.payments, cast.alice)
        outbox.fan_out(message.pk)
        while record(message, cast.bob)[0] == "waiting":
            due = Delivery.objects.get(member=cast.bob).next_attempt_at
            assert due is not None
            delays.append(due - timezone.now())
            clock.move_to(due)
            sweep()
        given_up_after = timezone.now() - begun
    assert delays[1:] == sorted(delays[1:]), "no delay is shorter than the one before"
    assert timedelta(hours=24) <= given_up_after <= timedelta(hours=28)
    assert 5 < len(delays) < 30
    assert record(message, cast.bob) == ("failed", "gave_up")


@in_one_transaction
def test_two_workers_on_one_delivery_use_up_one_attempt(
    cast: Cast, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first worker has read what is due, the second one tries Bob's mail and is refused."""
    smtp.refusals[cast.bob.user.email] = "450 Mailbox busy"
    outbox.fan_out(post(cast.payments, cast.alice).pk)

    def connect_after_another_worker() -> Any:
        monkeypatch.setattr(sending, "get_connection", get_connection)
        outbox.deliver()
        return get_connection()

    monkeypatch.setattr(sending, "get_connection", connect_after_another_worker)
    outbox.deliver()
    assert Delivery.objects.get(member=cast.bob).attempts == 1


@in_one_transaction
@pytest.mark.parametrize("address", ["no address at all", "two\nlines@northwind.example", "bob@", ""])
def test_an_invalid_address_delays_no_other_mail(
    cast: Cast, crowd: list[Member], smtp: SmtpServer, address: str
) -> None:
    User.objects.filter(pk=cast.bob.user_id).update(email=address)
    message = post(cast.payments, cast.alice)
    for _ in range(2):
        sweep()
    others = [member for member in crowd if member != cast.bob]
    assert set(addresses(*others)) <= set(smtp.recipients)
    assert Counter(smtp.recipients).most_common(1)[0][1] == 1
    assert record(message, cast.bob)[0] != "waiting"


@in_one_transaction
def test_an_unreachable_mail_server_loses_no_mail_and_uses_up_no_attempt(
    cast: Cast, crowd: list[Member], smtp: SmtpServer, settings: Any
) -> None:
    message = post(cast.payments, cast.alice)
    with mail_server_away(settings):
        notify_members(message.pk)
        for _ in range(3):
            sweep()
    waiting = Delivery.objects.filter(state="waiting")
    assert waiting.count() == len(crowd)
    assert set(waiting.values_list("attempts", "last_error")) == {(0, "")}
    assert smtp.recipients == []
    sweep()
    assert sorted(smtp.recipients) == addresses(*crowd)


@in_one_transaction
def test_a_server_that_closes_the_connection_uses_up_no_attempt(cast: Cast, crowd: list[Member], settings: Any) -> None:
    message = post(cast.payments, cast.alice)
    with mailing_to(LimitedServer(limit=2), settings) as server:
        notify_members(message.pk)
        assert len(server.recipients) == 2, "or the test proves nothing"
        assert set(Delivery.objects.filter(state="waiting").values_list("attempts", flat=True)) == {0}
        server.limit = 100
        sweep()
        assert sorted(server.recipients) == addresses(*crowd)


# -- Neither lost nor repeated -------------------------------------------------------------------------


@in_one_transaction
def test_a_repeated_task_sends_nothing_twice(cast: Cast, smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    for _ in range(3):
        notify_members(message.pk)
        sweep()
    assert smtp.recipients == addresses(cast.bob)


@in_one_transaction
def test_a_task_for_a_missing_message_does_nothing(cast: Cast, smtp: SmtpServer) -> None:
    notify_members(10**17)
    sweep()
    assert smtp.recipients == []


@in_one_transaction
def test_the_sweep_finds_a_message_whose_task_was_lost(cast: Cast, smtp: SmtpServer) -> None:
    post(cast.payments, cast.alice)
    sweep()
    assert smtp.recipients == addresses(cast.bob)


@on_the_real_database
def test_concurrent_tasks_and_sweeps_send_nothing_twice(cast: Cast, crowd: list[Member], smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    workers: list[Callable[[], None]] = [
        lambda: notify_members(message.pk),
        lambda: notify_members(message.pk),
        sweep,
        sweep,
    ]
    assert together(workers) == [None] * 4
    sweep()  # a worker may have skipped a delivery that another one had locked but did not send
    assert sorted(smtp.recipients) == addresses(*crowd)


def crash_worker(monkeypatch: pytest.MonkeyPatch, *, at: int, after_sending: bool) -> None:
    """Let the worker die at its mail number `at`, before or after the mail server has accepted it."""
    sent = Counter[str]()

    def send_or_die(mail: Any, connection: Any) -> None:
        sent["mails"] += 1
        if sent["mails"] == at and not after_sending:
            raise FAILURE
        sending.send(mail, connection)
        if sent["mails"] == at:
            raise FAILURE

    monkeypatch.setattr(outbox, "send", send_or_die)


@on_the_real_database
def test_a_worker_that_dies_before_sending_loses_and_repeats_nothing(
    cast: Cast, crowd: list[Member], smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = post(cast.payments, cast.alice)
    with monkeypatch.context() as patch:
        crash_worker(patch, at=3, after_sending=False)
        with pytest.raises(RuntimeError):
            notify_members(message.pk)
    assert len(smtp.recipients) == 2, "or the test proves nothing"
    sweep()
    assert sorted(smtp.recipients) == addresses(*crowd)


@on_the_real_database
def test_a_worker_that_dies_after_sending_repeats_one_mail_with_the_same_id(
    cast: Cast, crowd: list[Member], smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = post(cast.payments, cast.alice)
    with monkeypatch.context() as patch:
        crash_worker(patch, at=3, after_sending=True)
        with pytest.raises(RuntimeError):
            notify_members(message.pk)
    sweep()
    assert set(smtp.recipients) == set(addresses(*crowd))
    assert sorted(Counter(smtp.recipients).values()) == [1] * (len(crowd) - 1) + [2]
    assert len({mail["Message-ID"] for mail in smtp.mails}) == len(crowd)


@on_the_real_database
def test_a_worker_that_dies_during_fan_out_leaves_no_deliveries(
    cast: Cast, crowd: list[Member], smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = post(cast.payments, cast.alice)

    def die(message: Message, **options: Any) -> None:
        assert Delivery.objects.exists(), "deliveries are written, or the test proves nothing"
        raise FAILURE

    with monkeypatch.context() as patch:
        patch.setattr(Message, "save", die)
        with pytest.raises(RuntimeError):
            notify_members(message.pk)
    assert not Delivery.objects.exists()
    sweep()
    assert sorted(smtp.recipients) == addresses(*crowd)


@on_the_real_database
def test_a_mail_that_another_worker_is_sending_is_skipped(
    cast: Cast, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.fan_out(post(cast.payments, cast.alice).pk)
    is_sending, go_on = Event(), Event()

    def send_slowly(mail: Any, connection: Any) -> None:
        is_sending.set()
        go_on.wait(PATIENCE)
        sending.send(mail, connection)

    monkeypatch.setattr(outbox, "send", send_slowly)
    slow = start(outbox.deliver)
    assert is_sending.wait(PATIENCE)
    outbox.deliver()  # neither waits nor sends
    assert smtp.recipients == []
    go_on.set()
    slow.result(PATIENCE)
    assert smtp.recipients == addresses(cast.bob)


@on_the_real_database
def test_two_workers_on_the_same_list_share_its_mails(
    cast: Cast, crowd: list[Member], smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.fan_out(post(cast.payments, cast.alice).pk)
    monkeypatch.setattr(outbox, "CHECK_BATCH", 2)
    both, sent_by = Barrier(2), Counter[int]()

    def send_together(mail: Any, connection: Any) -> None:
        if get_ident() not in sent_by:
            both.wait(PATIENCE)  # each worker holds its first mail
        sent_by[get_ident()] += 1
        sending.send(mail, connection)
        time.sleep(0.05)

    monkeypatch.setattr(outbox, "send", send_together)
    assert together([outbox.deliver, lambda: outbox.deliver(start_in_the_middle=True)]) == [None, None]
    assert sorted(smtp.recipients) == addresses(*crowd)
    assert len(sent_by) == 2
    assert min(sent_by.values()) > 1, "each worker sent more than its first mail"


@in_one_transaction
@pytest.mark.parametrize(("limit", "helpers"), [(5, 1), (7, 0)])
def test_a_message_with_many_mails_gets_a_second_worker(
    cast: Cast,
    crowd: list[Member],
    smtp: SmtpServer,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    helpers: int,
) -> None:
    enqueued: list[Any] = []
    monkeypatch.setattr(tasks, "enqueue_on_commit", lambda *task: enqueued.append(task))
    monkeypatch.setattr(outbox, "SECOND_WORKER_FROM", limit)
    message = post(cast.payments, cast.alice)
    notify_members(message.pk)
    assert enqueued == [(tasks.help_to_notify.name, message.pk)] * helpers
    tasks.help_to_notify(message.pk)
    assert sorted(smtp.recipients) == addresses(*crowd), "a second worker that comes too late finds nothing to do"


# -- Cancellation --------------------------------------------------------------------------------------


def set_topic_active(cast: Cast, active: bool) -> None:
    with transaction.atomic():
        cast.payments.is_active = active
        cast.payments.save(update_fields=["is_active"])
        if not active:
            cancel_for_topic(cast.payments)


def set_group_active(cast: Cast, active: bool) -> None:
    cast.payroll.is_active = active
    save_group(cast.payroll, [cast.alice, cast.bob])


def set_in_group(cast: Cast, member: bool) -> None:
    save_group(cast.payroll, [cast.alice, cast.bob] if member else [cast.alice])


def set_member_active(cast: Cast, active: bool) -> None:
    cast.bob.is_active = active
    save_member(cast.bob)


def set_messenger(cast: Cast, on: bool) -> None:
    set_messenger_enabled(cast.northwind, on)


# Each one removes or restores Bob's access to the topic.
SWITCHES: dict[str, Callable[[Cast, bool], None]] = {
    "topic": set_topic_active,
    "group": set_group_active,
    "leaving": set_in_group,
    "member": set_member_active,
    "messenger": set_messenger,
}
each_switch = pytest.mark.parametrize("switch", SWITCHES.values(), ids=SWITCHES)
REASONS: dict[Callable[[Cast, bool], None], str] = {
    set_topic_active: "topic_inactive",
    set_group_active: "group_inactive",
    set_in_group: "left",
    set_member_active: "member_inactive",
    set_messenger: "messenger_off",
}


@in_one_transaction
@pytest.mark.parametrize("fanned_out", [True, False])
@each_switch
def test_losing_access_cancels_pending_mails_and_regaining_it_sends_none(
    cast: Cast, smtp: SmtpServer, switch: Callable[[Cast, bool], None], fanned_out: bool
) -> None:
    message = post(cast.payments, cast.alice)
    assert message.outcome == "email", "or the test proves nothing"
    if fanned_out:
        outbox.fan_out(message.pk)
    switch(cast, False)
    assert not cast.payments.readers().contains(cast.bob), "or the test proves nothing"
    assert record(message, cast.bob) == ("not_sent", REASONS[switch])
    switch(cast, True)
    assert cast.payments.readers().contains(cast.bob), "or the test proves nothing"
    notify_members(message.pk)
    sweep()
    assert smtp.recipients == []
    assert record(message, cast.bob) == ("not_sent", REASONS[switch])


@in_one_transaction
@each_switch
def test_new_messages_are_mailed_once_access_is_back(
    cast: Cast, smtp: SmtpServer, switch: Callable[[Cast, bool], None]
) -> None:
    switch(cast, False)
    switch(cast, True)
    notify_members(post(cast.payments, cast.alice).pk)
    assert smtp.recipients == addresses(cast.bob)


@in_one_transaction
@each_switch
def test_losing_access_in_a_rolled_back_transaction_cancels_nothing(
    cast: Cast, smtp: SmtpServer, switch: Callable[[Cast, bool], None]
) -> None:
    message = post(cast.payments, cast.alice)
    outbox.fan_out(message.pk)

    @transaction.atomic
    def switch_off_and_fail() -> None:
        switch(cast, False)
        assert record(message, cast.bob)[0] == "not_sent", "or the test proves nothing"
        raise FAILURE

    with pytest.raises(RuntimeError):
        switch_off_and_fail()
    assert record(message, cast.bob) == ("waiting", "")
    sweep()
    assert smtp.recipients == addresses(cast.bob)


@in_one_transaction
@pytest.mark.parametrize("switch", [set_in_group, set_member_active], ids=["leaving", "member"])
def test_members_who_keep_their_access_get_their_mails(
    cast: Cast, smtp: SmtpServer, switch: Callable[[Cast, bool], None]
) -> None:
    post(cast.payments, cast.bob)  # to Alice
    switch(cast, False)
    sweep()
    assert smtp.recipients == addresses(cast.alice)


@in_one_transaction
@each_switch
def test_no_mail_of_another_tenancy_is_cancelled(
    cast: Cast, smtp: SmtpServer, switch: Callable[[Cast, bool], None]
) -> None:
    fay = make_member(cast.aurora, "Fay Foreign")
    save_group(cast.foreign, [cast.erin, fay])
    post(cast.secrets, cast.erin)
    switch(cast, False)
    sweep()
    assert smtp.recipients == addresses(fay)


@in_one_transaction
def test_a_sent_mail_stays_sent_when_access_is_lost(cast: Cast, smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    sweep()
    set_messenger(cast, False)
    assert record(message, cast.bob) == ("sent", "")


@in_one_transaction
@pytest.mark.parametrize("fanned_out", [True, False])
def test_messages_posted_while_a_member_was_inactive_are_not_mailed_later(
    cast: Cast, smtp: SmtpServer, fanned_out: bool
) -> None:
    set_member_active(cast, False)
    message = post(cast.payments, cast.alice)
    if fanned_out:
        outbox.fan_out(message.pk)
    set_member_active(cast, True)
    notify_members(message.pk)
    sweep()
    assert smtp.recipients == []


@in_one_transaction
def test_messages_posted_between_two_memberships_are_not_mailed(cast: Cast, smtp: SmtpServer) -> None:
    set_in_group(cast, False)
    message = post(cast.payments, cast.alice)
    set_in_group(cast, True)
    notify_members(message.pk)
    assert smtp.recipients == []
    assert not Delivery.objects.filter(message=message, member=cast.bob).exists()


@on_the_real_database
@each_switch
def test_a_mail_being_sent_while_access_is_lost_is_recorded_as_sent(
    cast: Cast, smtp: SmtpServer, switch: Callable[[Cast, bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    message = post(cast.payments, cast.alice)
    outbox.fan_out(message.pk)
    is_sending = Event()

    def send_slowly(mail: Any, connection: Any) -> None:
        is_sending.set()
        time.sleep(0.05)
        sending.send(mail, connection)

    monkeypatch.setattr(outbox, "send", send_slowly)
    slow = start(outbox.deliver)
    assert is_sending.wait(PATIENCE)
    switch(cast, False)
    slow.result(PATIENCE)
    assert smtp.recipients == addresses(cast.bob)
    assert record(message, cast.bob) == ("sent", ""), "the record says what happened"


# -- Without Redis -------------------------------------------------------------------------------------


@on_the_real_database
def test_without_redis_a_post_succeeds_at_once_and_the_sweep_mails_it(
    cast: Cast, smtp: SmtpServer, settings: Any
) -> None:
    with redis_away(settings):
        with pytest.raises(OperationalError):
            notify_members.delay(1)  # Redis is unreachable, or the test proves nothing
        begun = time.monotonic()
        message = post(cast.payments, cast.alice)
        assert time.monotonic() - begun < 2
    assert Message.objects.get() == message
    assert smtp.recipients == []
    sweep()
    assert smtp.recipients == addresses(cast.bob)


def test_delays_between_reconnections_to_the_queue_do_not_grow(settings: Any) -> None:
    delays: list[float] = []

    def record_delay(_error: Exception, delay: float) -> None:
        delays.append(delay)
        if len(delays) == 2:
            raise FAILURE

    with redis_away(settings), app.connection_for_read() as connection, pytest.raises(RuntimeError):
        connection.ensure_connection(record_delay)
    assert delays[0] == delays[1] <= 2


# -- The content of a mail -----------------------------------------------------------------------------

CANARIES = ("Canarygroup", "Canarytopic", "Canarytext", "Canaryauthor", "Canaryreader", "Canarydescription")


@pytest.fixture
def canary_mail(cast: Cast, smtp: SmtpServer) -> EmailMessage:
    MessengerGroup.objects.filter(pk=cast.payroll.pk).update(name="Canarygroup", description="Canarydescription")
    Topic.objects.filter(pk=cast.payments.pk).update(name="Canarytopic")
    Member.objects.filter(pk=cast.alice.pk).update(name="Canaryauthor")
    Member.objects.filter(pk=cast.bob.pk).update(name="Canaryreader")
    notify_members(post(cast.payments, cast.alice, "Canarytext").pk)
    (mail,) = smtp.mails
    return mail


def everything_in(mail: EmailMessage) -> str:
    """Headers and bodies of all parts, decoded, and the raw mail."""
    parts = [part.get_content() for part in mail.walk() if not part.is_multipart()]
    headers = [f"{name}: {value}" for part in mail.walk() for name, value in part.items()]
    return "\n".join([*headers, *parts, mail.as_string()])


@in_one_transaction
def test_a_mail_reveals_neither_the_conversation_nor_its_participants(cast: Cast, canary_mail: EmailMessage) -> None:
    found = everything_in(canary_mail).lower()
    assert "new message" in found, "or the test proves nothing"
    assert [canary for canary in CANARIES if canary.lower() in found] == []
    assert cast.alice.user.email not in found


@in_one_transaction
def test_a_mail_has_text_and_html_and_both_link_to_the_thread(cast: Cast, canary_mail: EmailMessage) -> None:
    text, html = (canary_mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    link = f"http://messenger.test/northwind/messenger/topics/{cast.payments.pk}/"
    assert link in text.get_content()
    assert f'href="{link}"' in html.get_content()
    for part in (text.get_content(), html.get_content()):
        assert "http://messenger.test/northwind/messenger/preferences/" in part


@in_one_transaction
def test_a_mail_is_marked_as_generated_automatically(cast: Cast, canary_mail: EmailMessage, settings: Any) -> None:
    assert canary_mail["To"] == cast.bob.user.email
    assert canary_mail["From"] == settings.DEFAULT_FROM_EMAIL
    assert canary_mail["Auto-Submitted"] == "auto-generated"
    assert canary_mail["X-Auto-Response-Suppress"] == "All"
    assert canary_mail["Message-ID"].endswith("@messenger.messenger.test>")


@in_one_transaction
def test_every_mail_of_a_topic_has_the_same_subject(cast: Cast, canary_mail: EmailMessage, smtp: SmtpServer) -> None:
    age(cast.payments, timedelta(hours=1))
    notify_members(post(cast.payments, cast.alice).pk)
    assert len({mail["Subject"] for mail in smtp.mails}) == 1
    assert len({mail["Message-ID"] for mail in smtp.mails}) == len(smtp.mails) == 2


@in_one_transaction
@pytest.mark.parametrize(
    ("language", "time_zone", "posted_at", "expected"),
    [
        ("en-gb", "Asia/Kolkata", "2026-11-22T20:35:00Z", ("23 November 2026", "02:05")),
        ("en-gb", "America/New_York", "2026-11-23T04:59:00Z", ("22 November 2026", "23:59")),
        ("en", "UTC", "2026-11-22T14:05:00Z", ("Nov. 22, 2026", "2:05 p.m.")),
        ("en", "Pacific/Auckland", "2026-11-22T14:05:00Z", ("Nov. 23, 2026", "3:05 a.m.")),
    ],
)
def test_a_mail_is_in_the_language_and_time_zone_of_its_reader(
    cast: Cast, language: str, time_zone: str, posted_at: str, expected: tuple[str, str]
) -> None:
    """As settings.LANGUAGES describes it."""
    with translation.override("en-gb"), time_machine.travel(posted_at, tick=False):
        message = Message(pk=1, topic=cast.payments, author=cast.alice, posted_at=timezone.now())
        cast.bob.user.language, cast.bob.user.time_zone = language, time_zone
        mail = message_mail(message, cast.bob)
        assert translation.get_language() == "en-gb", "the sender's language is active again"
    for part in (mail.body, str(mail.alternatives[0][0])):
        assert all(piece in part for piece in expected), part


@in_one_transaction
@pytest.mark.parametrize("language", ["en-gb", "en"])
def test_a_mails_sentences_end_with_one_full_stop(cast: Cast, language: str) -> None:
    cast.bob.user.language = language
    assert ".." not in message_mail(post(cast.payments, cast.alice), cast.bob).body


@in_one_transaction
def test_the_links_in_a_mail_start_with_the_configured_base_url(cast: Cast, settings: Any) -> None:
    settings.BASE_URL = "https://chat.example.org"
    mail = message_mail(post(cast.payments, cast.alice), cast.bob)
    assert "https://chat.example.org/northwind/messenger/" in mail.body
    assert "messenger.test" not in mail.message().as_string()


@in_one_transaction
def test_a_line_break_in_a_subject_adds_no_header(cast: Cast) -> None:
    subject = "Hello\r\nBcc: mallory@x.example"
    context = {"posted_at": post(cast.payments, cast.alice).posted_at, "link": "", "preferences_link": ""}
    mail = sending.build_mail(
        "messenger/notifications/mails/new_message", "bob@x.example", subject, context, language="en-gb"
    )
    assert mail.message()["Bcc"] is None
    assert mail.message()["Subject"] == "Hello Bcc: mallory@x.example"


@on_the_real_database
def test_removing_a_member_does_not_block_posts_while_their_mail_is_sent(cast: Cast) -> None:
    """The mail server stalls with Bob's mail while Dana removes him from the group and Alice posts again."""
    outbox.fan_out(post(cast.payments, cast.alice).pk)
    with transaction.atomic():
        Delivery.objects.select_for_update().get(member=cast.bob)  # as its sender holds it
        start(lambda: save_group(cast.payroll, [cast.alice])).result(PATIENCE)
        start(lambda: post(cast.payments, cast.alice, "And another thing")).result(PATIENCE)
    sweep()
    assert Delivery.objects.filter(member=cast.bob).values_list("state", "reason").get() == ("not_sent", "left")


@in_one_transaction
def test_an_address_that_makes_the_server_hang_up_blocks_no_other_mail(
    cast: Cast, crowd: list[Member], smtp: SmtpServer
) -> None:
    smtp.refusals[cast.bob.user.email] = "421 Closing"
    post(cast.payments, cast.alice)
    for _ in range(2):
        sweep()
    others = [member for member in crowd if member != cast.bob]
    assert sorted(smtp.recipients) == sorted(addresses(*others))


@on_the_real_database
def test_muting_that_waited_for_a_fan_out_does_not_deadlock_with_a_new_revision(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = post(cast.payments, cast.alice)
    fanned_out, commit, before_the_topic, go_on_muting = Event(), Event(), Event(), Event()

    def fan_out_slowly() -> None:
        with transaction.atomic():
            outbox.fan_out(message.pk)
            fanned_out.set()
            assert commit.wait(PATIENCE)

    def bump_late(topics: Any) -> None:
        before_the_topic.set()
        assert go_on_muting.wait(PATIENCE)
        events.bump_audience_revision(topics)

    monkeypatch.setattr(preferences, "bump_audience_revision", bump_late)
    worker = start(fan_out_slowly)
    assert fanned_out.wait(PATIENCE)
    muting = start(lambda: set_muted(cast.payments, cast.bob, True))
    assert another_connection_waits_for_a_lock(), "muting waits for the fan-out, or the test proves nothing"
    commit.set()
    worker.result(PATIENCE)
    assert before_the_topic.wait(PATIENCE)
    bumping = start(lambda: events.bump_revision(message.pk))  # as `deliver` does after sending
    time.sleep(0.1)  # it has locked the topic; if muting still held the message, it would now wait for it
    go_on_muting.set()
    bumping.result(PATIENCE)
    muting.result(PATIENCE)
    assert record(message, cast.bob) == ("not_sent", "muted")


def test_every_process_cancels_mails_whatever_else_it_has_imported() -> None:
    """A command or a shell, which loads no views, may deactivate a member too."""
    counted = (
        "import django; django.setup(); from tenancy.signals import member_status_changes, messenger_switched_off; "
        "print(len(member_status_changes.receivers), len(messenger_switched_off.receivers))"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-c", counted]
    output = subprocess.check_output(command, cwd=django_settings.BASE_DIR, env=environment, text=True)
    assert output.split() == ["1", "1"]
