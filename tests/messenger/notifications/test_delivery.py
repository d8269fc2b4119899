"""From decisions to mails, over a real SMTP server: who is due and nobody else, nothing twice or lost."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from threading import Barrier, Event, get_ident
from typing import Any

import pytest
import time_machine
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
from tests.support.concurrency import PATIENCE, somebody_waits_for_a_lock, start, together
from tests.support.faults import TiredServer, mail_server_away, mailing_to, redis_away
from tests.support.smtp import SmtpServer

in_one_transaction = pytest.mark.django_db
on_the_real_database = pytest.mark.django_db(transaction=True)

LATER = timedelta(minutes=5)
TROUBLE = RuntimeError("the worker dies here")


@pytest.fixture
def crowd(cast: Cast) -> list[Member]:
    """Charlie, Mallory and three more in the group, beside Alice and Bob."""
    crowd = [make_member(cast.northwind, f"{name} Crowd") for name in ("Fay", "Gus", "Hal")]
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie, cast.mallory, *crowd])
    return [cast.bob, cast.charlie, cast.mallory, *crowd]


def addresses(*members: Member) -> list[str]:
    return sorted(member.user.email for member in members)


def record(message: Message, member: Member) -> tuple[str, str]:
    delivery = Delivery.objects.get(message=message, member=member)
    return delivery.state, delivery.reason


# -- Who is told ---------------------------------------------------------------------------------------


@in_one_transaction
def test_each_member_but_the_author_gets_a_mail_of_their_own(cast: Cast, crowd: list[Member], smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    notify_members(message.pk)
    assert sorted(smtp.recipients) == addresses(*crowd)
    assert all(len(envelope.rcpt_tos) == 1 for envelope in smtp.envelopes)
    assert [mail["To"] for mail in smtp.mails] == smtp.recipients
    assert not any(mail["Cc"] or mail["Bcc"] for mail in smtp.mails)
    assert record(message, cast.alice) == ("not_sent", "author")
    assert {record(message, member) for member in crowd} == {("sent", "")}


@in_one_transaction
def test_an_author_who_chose_so_gets_their_own(cast: Cast, smtp: SmtpServer) -> None:
    MailPreference.objects.create(member=cast.alice, own_messages=True)
    MailPreference.objects.create(member=cast.bob, own_messages=False)
    notify_members(post(cast.payments, cast.alice).pk)
    assert sorted(smtp.recipients) == addresses(cast.alice, cast.bob)


@in_one_transaction
def test_a_message_within_the_interval_is_mailed_to_nobody(cast: Cast, smtp: SmtpServer) -> None:
    notify_members(post(cast.payments, cast.alice).pk)
    silent = post(cast.payments, cast.alice)
    assert silent.outcome == "no_email", "or the test proves nothing"
    notify_members(silent.pk)
    sweep()
    assert smtp.recipients == addresses(cast.bob)
    assert not Delivery.objects.filter(message=silent).exists()


@in_one_transaction
def test_who_joins_after_the_message_is_not_told(cast: Cast, smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    notify_members(message.pk)
    assert smtp.recipients == addresses(cast.bob)


# The reasons that the record then gives.
UNSEEN_CHANGES: dict[str, Callable[[Cast], object]] = {
    "left": lambda cast: cast.bob.group_memberships.update(left_at=timezone.now(), left_roster=1),
    "member_inactive": lambda cast: Member.objects.filter(pk=cast.bob.pk).update(is_active=False),
    "member_inactive, as a person": lambda cast: User.objects.filter(pk=cast.bob.user_id).update(is_active=False),
    "topic_inactive": lambda cast: Topic.objects.update(is_active=False),
    "group_inactive": lambda cast: MessengerGroup.objects.update(is_active=False),
    "messenger_off": lambda cast: Tenancy.objects.update(messenger_enabled=False),
}


@in_one_transaction
@pytest.mark.parametrize("fanned_out", [True, False])
@pytest.mark.parametrize("change", UNSEEN_CHANGES)
def test_access_is_asked_again_when_the_mail_goes_out(
    cast: Cast, smtp: SmtpServer, change: str, fanned_out: bool
) -> None:
    """Even where the change went past everything that withdraws mails."""
    message = post(cast.payments, cast.alice)
    if fanned_out:
        outbox.fan_out(message.pk)
        assert record(message, cast.bob) == ("waiting", ""), "or the test proves nothing"
    UNSEEN_CHANGES[change](cast)
    sweep()
    assert smtp.recipients == []
    assert record(message, cast.bob) == ("not_sent", change.partition(",")[0])


# -- Refusals and servers that are away ----------------------------------------------------------------


@in_one_transaction
def test_an_address_that_is_refused_for_good_holds_up_nobody(cast: Cast, crowd: list[Member], smtp: SmtpServer) -> None:
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
def test_an_address_that_is_refused_for_now_gets_its_mail_later(
    cast: Cast, crowd: list[Member], smtp: SmtpServer
) -> None:
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
def test_attempts_grow_apart_and_end_after_a_day(cast: Cast, smtp: SmtpServer) -> None:
    smtp.refusals[cast.bob.user.email] = "450 Mailbox busy"
    waits, start_of_it = [], timezone.now()
    with time_machine.travel(start_of_it, tick=False) as clock:
        message = post(cast.payments, cast.alice)
        outbox.fan_out(message.pk)
        while record(message, cast.bob)[0] == "waiting":
            due = Delivery.objects.get(member=cast.bob).next_attempt_at
            assert due is not None
            waits.append(due - timezone.now())
            clock.move_to(due)
            sweep()
        given_up_after = timezone.now() - start_of_it
    assert waits[1:] == sorted(waits[1:]), "never sooner than before"
    assert timedelta(hours=24) <= given_up_after <= timedelta(hours=28)
    assert 5 < len(waits) < 30
    assert record(message, cast.bob) == ("failed", "gave_up")


@in_one_transaction
def test_two_workers_that_meet_do_not_use_up_an_attempt_twice(
    cast: Cast, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has read what is due; before it comes to Bob, another has tried him and put him off."""
    smtp.refusals[cast.bob.user.email] = "450 Mailbox busy"
    outbox.fan_out(post(cast.payments, cast.alice).pk)

    def connect_after_the_other() -> Any:
        monkeypatch.setattr(sending, "get_connection", get_connection)
        outbox.deliver()
        return get_connection()

    monkeypatch.setattr(sending, "get_connection", connect_after_the_other)
    outbox.deliver()
    assert Delivery.objects.get(member=cast.bob).attempts == 1


@in_one_transaction
@pytest.mark.parametrize("address", ["no address at all", "two\nlines@northwind.example", "bob@", ""])
def test_an_address_that_no_mail_can_go_to_holds_up_nobody(
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
def test_while_the_mail_server_is_away_nothing_is_lost_and_nothing_counted(
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
def test_a_server_that_closes_in_the_middle_is_nobodys_attempt(cast: Cast, crowd: list[Member], settings: Any) -> None:
    message = post(cast.payments, cast.alice)
    with mailing_to(TiredServer(takes=2), settings) as server:
        notify_members(message.pk)
        assert len(server.recipients) == 2, "or the test proves nothing"
        assert set(Delivery.objects.filter(state="waiting").values_list("attempts", flat=True)) == {0}
        server.takes = 100
        sweep()
        assert sorted(server.recipients) == addresses(*crowd)


# -- Once, and not lost --------------------------------------------------------------------------------


@in_one_transaction
def test_a_task_that_comes_again_sends_nothing_again(cast: Cast, smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    for _ in range(3):
        notify_members(message.pk)
        sweep()
    assert smtp.recipients == addresses(cast.bob)


@in_one_transaction
def test_a_task_about_nothing_does_nothing(cast: Cast, smtp: SmtpServer) -> None:
    notify_members(10**17)
    sweep()
    assert smtp.recipients == []


@in_one_transaction
def test_a_decision_that_no_task_came_for_is_found_by_the_sweep(cast: Cast, smtp: SmtpServer) -> None:
    post(cast.payments, cast.alice)
    sweep()
    assert smtp.recipients == addresses(cast.bob)


@on_the_real_database
def test_tasks_and_sweeps_at_the_same_time_send_nothing_twice(
    cast: Cast, crowd: list[Member], smtp: SmtpServer
) -> None:
    message = post(cast.payments, cast.alice)
    at_once: list[Callable[[], None]] = [
        lambda: notify_members(message.pk),
        lambda: notify_members(message.pk),
        sweep,
        sweep,
    ]
    came_of_it = together(at_once)
    assert came_of_it == [None] * 4
    sweep()  # whatever one left to another that was just ending
    assert sorted(smtp.recipients) == addresses(*crowd)


def dying(monkeypatch: pytest.MonkeyPatch, *, at: int, after_the_server_took_it: bool) -> None:
    """The worker dies at its mail number `at`, before or after handing it over."""
    sent = Counter[str]()

    def send_or_die(mail: Any, connection: Any) -> None:
        sent["mails"] += 1
        if sent["mails"] == at and not after_the_server_took_it:
            raise TROUBLE
        sending.send(mail, connection)
        if sent["mails"] == at:
            raise TROUBLE

    monkeypatch.setattr(outbox, "send", send_or_die)


@on_the_real_database
def test_a_worker_that_dies_before_a_mail_loses_and_repeats_nothing(
    cast: Cast, crowd: list[Member], smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = post(cast.payments, cast.alice)
    with monkeypatch.context() as patch:
        dying(patch, at=3, after_the_server_took_it=False)
        with pytest.raises(RuntimeError):
            notify_members(message.pk)
    assert len(smtp.recipients) == 2, "or the test proves nothing"
    sweep()
    assert sorted(smtp.recipients) == addresses(*crowd)


@on_the_real_database
def test_a_worker_that_dies_after_a_mail_repeats_that_one_under_the_same_id(
    cast: Cast, crowd: list[Member], smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = post(cast.payments, cast.alice)
    with monkeypatch.context() as patch:
        dying(patch, at=3, after_the_server_took_it=True)
        with pytest.raises(RuntimeError):
            notify_members(message.pk)
    sweep()
    assert set(smtp.recipients) == set(addresses(*crowd))
    assert sorted(Counter(smtp.recipients).values()) == [1] * (len(crowd) - 1) + [2]
    assert len({mail["Message-ID"] for mail in smtp.mails}) == len(crowd)


@on_the_real_database
def test_a_worker_that_dies_while_fanning_out_leaves_it_all_to_the_next(
    cast: Cast, crowd: list[Member], smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = post(cast.payments, cast.alice)

    def die(message: Message, **options: Any) -> None:
        assert Delivery.objects.exists(), "deliveries are written, or the test proves nothing"
        raise TROUBLE

    with monkeypatch.context() as patch:
        patch.setattr(Message, "save", die)
        with pytest.raises(RuntimeError):
            notify_members(message.pk)
    assert not Delivery.objects.exists()
    sweep()
    assert sorted(smtp.recipients) == addresses(*crowd)


@on_the_real_database
def test_a_mail_that_somebody_is_just_sending_is_left_to_them(
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
def test_two_who_walk_the_same_list_share_its_mails(
    cast: Cast, crowd: list[Member], smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.fan_out(post(cast.payments, cast.alice).pk)
    monkeypatch.setattr(outbox, "CHECK_BATCH", 2)
    both, sent_by = Barrier(2), Counter[int]()

    def send_together(mail: Any, connection: Any) -> None:
        if get_ident() not in sent_by:
            both.wait(PATIENCE)  # each holds their first
        sent_by[get_ident()] += 1
        sending.send(mail, connection)
        time.sleep(0.05)

    monkeypatch.setattr(outbox, "send", send_together)
    assert together([outbox.deliver, lambda: outbox.deliver(start_in_the_middle=True)]) == [None, None]
    assert sorted(smtp.recipients) == addresses(*crowd)
    assert len(sent_by) == 2
    assert min(sent_by.values()) > 1, "both went on"


@in_one_transaction
@pytest.mark.parametrize(("mails_of_it", "helpers"), [(5, 1), (7, 0)])
def test_with_a_message_of_many_mails_another_worker_helps(
    cast: Cast,
    crowd: list[Member],
    smtp: SmtpServer,
    monkeypatch: pytest.MonkeyPatch,
    mails_of_it: int,
    helpers: int,
) -> None:
    hints: list[Any] = []
    monkeypatch.setattr(tasks, "enqueue_on_commit", lambda *hint: hints.append(hint))
    monkeypatch.setattr(outbox, "SECOND_WORKER_FROM", mails_of_it)
    message = post(cast.payments, cast.alice)
    notify_members(message.pk)
    assert hints == [(tasks.help_to_notify.name, message.pk)] * helpers
    tasks.help_to_notify(message.pk)
    assert sorted(smtp.recipients) == addresses(*crowd), "who helps too late finds nothing to do"


# -- Withdrawals ---------------------------------------------------------------------------------------


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


# Each takes Bob's access to the topic away, and gives it back.
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
def test_switching_off_cancels_what_waits_and_on_again_sends_nothing_late(
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
def test_once_it_is_on_again_new_messages_are_mailed(
    cast: Cast, smtp: SmtpServer, switch: Callable[[Cast, bool], None]
) -> None:
    switch(cast, False)
    switch(cast, True)
    notify_members(post(cast.payments, cast.alice).pk)
    assert smtp.recipients == addresses(cast.bob)


@in_one_transaction
@each_switch
def test_a_switching_off_that_is_rolled_back_cancels_nothing(
    cast: Cast, smtp: SmtpServer, switch: Callable[[Cast, bool], None]
) -> None:
    message = post(cast.payments, cast.alice)
    outbox.fan_out(message.pk)

    @transaction.atomic
    def switch_off_and_fail() -> None:
        switch(cast, False)
        assert record(message, cast.bob)[0] == "not_sent", "or the test proves nothing"
        raise TROUBLE

    with pytest.raises(RuntimeError):
        switch_off_and_fail()
    assert record(message, cast.bob) == ("waiting", "")
    sweep()
    assert smtp.recipients == addresses(cast.bob)


@in_one_transaction
@pytest.mark.parametrize("switch", [set_in_group, set_member_active], ids=["leaving", "member"])
def test_who_stays_still_gets_theirs(cast: Cast, smtp: SmtpServer, switch: Callable[[Cast, bool], None]) -> None:
    post(cast.payments, cast.bob)  # to Alice
    switch(cast, False)
    sweep()
    assert smtp.recipients == addresses(cast.alice)


@in_one_transaction
@each_switch
def test_other_topics_groups_and_tenancies_lose_no_mail(
    cast: Cast, smtp: SmtpServer, switch: Callable[[Cast, bool], None]
) -> None:
    fay = make_member(cast.aurora, "Fay Foreign")
    save_group(cast.foreign, [cast.erin, fay])
    post(cast.secrets, cast.erin)
    switch(cast, False)
    sweep()
    assert smtp.recipients == addresses(fay)


@in_one_transaction
def test_what_was_sent_stays_sent(cast: Cast, smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    sweep()
    set_messenger(cast, False)
    assert record(message, cast.bob) == ("sent", "")


@in_one_transaction
@pytest.mark.parametrize("fanned_out", [True, False])
def test_what_was_posted_while_somebody_was_deactivated_is_not_sent_when_they_are_back(
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
def test_what_was_posted_between_two_memberships_is_not_sent(cast: Cast, smtp: SmtpServer) -> None:
    set_in_group(cast, False)
    message = post(cast.payments, cast.alice)
    set_in_group(cast, True)
    notify_members(message.pk)
    assert smtp.recipients == []
    assert not Delivery.objects.filter(message=message, member=cast.bob).exists()


@on_the_real_database
@each_switch
def test_a_switching_off_that_meets_a_mail_going_out_calls_it_off_or_lets_it_go(
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
            notify_members.delay(1)  # away, or the test proves nothing
        begun = time.monotonic()
        message = post(cast.payments, cast.alice)
        assert time.monotonic() - begun < 2
    assert Message.objects.get() == message
    assert smtp.recipients == []
    sweep()
    assert smtp.recipients == addresses(cast.bob)


def test_a_queue_that_is_away_for_long_is_looked_for_as_often_as_at_first(settings: Any) -> None:
    waits: list[float] = []

    def note(_error: Exception, wait: float) -> None:
        waits.append(wait)
        if len(waits) == 2:
            raise TROUBLE

    with redis_away(settings), app.connection_for_read() as connection, pytest.raises(RuntimeError):
        connection.ensure_connection(note)
    assert waits[0] == waits[1] <= 2


# -- What the mail says --------------------------------------------------------------------------------

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
    """Headers and bodies of all parts, decoded, and the whole as it came."""
    parts = [part.get_content() for part in mail.walk() if not part.is_multipart()]
    headers = [f"{name}: {value}" for part in mail.walk() for name, value in part.items()]
    return "\n".join([*headers, *parts, mail.as_string()])


@in_one_transaction
def test_a_mail_tells_nothing_of_the_dialogue_nor_who_is_in_it(cast: Cast, canary_mail: EmailMessage) -> None:
    found = everything_in(canary_mail).lower()
    assert "new message" in found, "or the test proves nothing"
    assert [canary for canary in CANARIES if canary.lower() in found] == []
    assert cast.alice.user.email not in found


@in_one_transaction
def test_a_mail_has_text_and_html_and_both_lead_to_the_thread(cast: Cast, canary_mail: EmailMessage) -> None:
    text, html = (canary_mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    link = f"http://messenger.test/northwind/messenger/topics/{cast.payments.pk}/"
    assert link in text.get_content()
    assert f'href="{link}"' in html.get_content()
    for part in (text.get_content(), html.get_content()):
        assert "http://messenger.test/northwind/messenger/preferences/" in part


@in_one_transaction
def test_a_mail_says_that_a_machine_sent_it(cast: Cast, canary_mail: EmailMessage, settings: Any) -> None:
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
    ("language", "time_zone", "posted_at", "shown"),
    [
        ("en-gb", "Asia/Kolkata", "2026-11-22T20:35:00Z", ("23 November 2026", "02:05")),
        ("en-gb", "America/New_York", "2026-11-23T04:59:00Z", ("22 November 2026", "23:59")),
        ("en", "UTC", "2026-11-22T14:05:00Z", ("Nov. 22, 2026", "2:05 p.m.")),
        ("en", "Pacific/Auckland", "2026-11-22T14:05:00Z", ("Nov. 23, 2026", "3:05 a.m.")),
    ],
)
def test_a_mail_is_in_the_language_and_time_zone_of_its_reader(
    cast: Cast, language: str, time_zone: str, posted_at: str, shown: tuple[str, str]
) -> None:
    """As the choice of languages promises it (settings.LANGUAGES)."""
    with translation.override("en-gb"), time_machine.travel(posted_at, tick=False):
        message = Message(pk=1, topic=cast.payments, author=cast.alice, posted_at=timezone.now())
        cast.bob.user.language, cast.bob.user.time_zone = language, time_zone
        mail = message_mail(message, cast.bob)
        assert translation.get_language() == "en-gb", "the sender's own is back"
    for part in (mail.body, str(mail.alternatives[0][0])):
        assert all(piece in part for piece in shown), part


@in_one_transaction
@pytest.mark.parametrize("language", ["en-gb", "en"])
def test_a_mails_sentences_end_with_one_full_stop(cast: Cast, language: str) -> None:
    cast.bob.user.language = language
    assert ".." not in message_mail(post(cast.payments, cast.alice), cast.bob).body


@in_one_transaction
def test_the_address_in_a_mail_is_the_installations_own(cast: Cast, settings: Any) -> None:
    settings.BASE_URL = "https://chat.example.org"
    mail = message_mail(post(cast.payments, cast.alice), cast.bob)
    assert "https://chat.example.org/northwind/messenger/" in mail.body
    assert "messenger.test" not in mail.message().as_string()


@in_one_transaction
def test_a_line_break_in_a_subject_makes_no_header(cast: Cast) -> None:
    subject = "Hello\r\nBcc: mallory@x.example"
    context = {"message": post(cast.payments, cast.alice), "link": "", "preferences_link": ""}
    mail = sending.build_mail(
        "messenger/notifications/mails/new_message", "bob@x.example", subject, context, language="en-gb"
    )
    assert mail.message()["Bcc"] is None
    assert mail.message()["Subject"] == "Hello Bcc: mallory@x.example"


@on_the_real_database
def test_who_leaves_while_a_mail_is_going_out_does_not_make_posts_wait_for_it(cast: Cast) -> None:
    """The mail server stalls with Bob's mail; Dana takes him out of the group, and Alice goes on writing."""
    outbox.fan_out(post(cast.payments, cast.alice).pk)
    with transaction.atomic():
        Delivery.objects.select_for_update().get(member=cast.bob)  # as its sender holds it
        start(lambda: save_group(cast.payroll, [cast.alice])).result(PATIENCE)
        start(lambda: post(cast.payments, cast.alice, "And another thing")).result(PATIENCE)
    sweep()
    assert Delivery.objects.filter(member=cast.bob).values_list("state", "reason").get() == ("not_sent", "left")


@in_one_transaction
def test_an_address_at_which_the_server_hangs_up_holds_up_nobody_for_ever(
    cast: Cast, crowd: list[Member], smtp: SmtpServer
) -> None:
    smtp.refusals[cast.bob.user.email] = "421 Closing"
    post(cast.payments, cast.alice)
    for _ in range(2):
        sweep()
    others = [member for member in crowd if member != cast.bob]
    assert sorted(smtp.recipients) == sorted(addresses(*others))


@on_the_real_database
def test_who_waited_for_another_to_fan_out_does_not_deadlock_with_what_is_said_of_the_mails(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = post(cast.payments, cast.alice)
    written, go_on, at_the_topic, go_on_muting = Event(), Event(), Event(), Event()

    def fan_out_slowly() -> None:
        with transaction.atomic():
            outbox.fan_out(message.pk)
            written.set()
            assert go_on.wait(PATIENCE)

    def touch_late(topics: Any) -> None:
        at_the_topic.set()
        assert go_on_muting.wait(PATIENCE)
        events.bump_audience_revision(topics)

    monkeypatch.setattr(preferences, "bump_audience_revision", touch_late)
    worker = start(fan_out_slowly)
    assert written.wait(PATIENCE)
    muting = start(lambda: set_muted(cast.payments, cast.bob, True))
    assert somebody_waits_for_a_lock(), "the one who mutes, or the test proves nothing"
    go_on.set()
    worker.result(PATIENCE)
    assert at_the_topic.wait(PATIENCE)
    touching = start(lambda: events.bump_revision(message.pk))  # as `deliver` does when mails are out
    time.sleep(0.1)  # it has the topic, and would wait here for the message
    go_on_muting.set()
    touching.result(PATIENCE)
    muting.result(PATIENCE)
    assert record(message, cast.bob) == ("not_sent", "muted")
