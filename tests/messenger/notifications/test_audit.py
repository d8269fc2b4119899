"""The audit of the outbox: it accepts everything that the product does and reports each error in one sentence."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from ippex_messenger.demo.create import create_demo
from messenger.groups.services import save_group
from messenger.models import Delivery, GroupMembership, Message, MessengerGroup, Topic
from messenger.notifications import rule as interval_rule
from messenger.notifications.delivery import outbox
from messenger.notifications.monitoring import audit as module
from messenger.notifications.monitoring.audit import audit
from messenger.notifications.preferences.services import set_muted
from messenger.topics.services import save_topic
from tenancy.models import Member, Tenancy
from tests.support.cast import Cast, age, post
from tests.support.smtp import SmtpServer

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@dataclass
class History:
    """Three messages in a topic that Bob has muted; Mallory joined after the last one."""

    cast: Cast
    mailed: Message
    silent: Message  # not e-mailed
    waiting: Message  # the mail to Alice is pending

    @property
    def messages(self) -> list[Message]:
        return [self.mailed, self.silent, self.waiting]

    def of(self, message: Message, member: Member) -> Delivery:
        return Delivery.objects.get(message=message, member=member)


@pytest.fixture
def history(cast: Cast, smtp: SmtpServer) -> History:
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    set_muted(cast.payments, cast.bob, True)
    mailed = post(cast.payments, cast.alice)
    outbox.sweep()
    silent = post(cast.payments, cast.bob)
    age(cast.payments, timedelta(hours=1))
    waiting = post(cast.payments, cast.charlie)
    outbox.fan_out(waiting.pk)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie, cast.mallory])
    history = History(cast, mailed, silent, waiting)
    assert [message.outcome for message in history.messages] == ["email", "no_email", "email"]
    assert smtp.recipients == [cast.charlie.user.email]
    assert history.of(waiting, cast.alice).state == "waiting"
    return history


def sentences(patience: timedelta = module.PATIENCE) -> list[str]:
    return [sentence for findings in audit(patience) for sentence in findings.listed]


# -- Nothing wrong -------------------------------------------------------------------------------------


def test_an_intact_outbox_passes(history: History) -> None:
    """For any other order of events: test_against_a_model.py runs the audit after every sweep."""
    assert audit() == []
    save_group(history.cast.payroll, [history.cast.bob])
    history.cast.payments.is_active = False
    save_topic(history.cast.payments, ["is_active"])
    assert audit() == []


def test_the_demo_passes() -> None:
    create_demo()
    assert Message.objects.count() > 20, "or the test proves nothing"
    assert Delivery.objects.count() > 20, "or the test proves nothing"
    assert audit() == []


def test_a_message_that_was_just_posted_may_have_no_deliveries_yet(history: History) -> None:
    age(history.cast.payments, timedelta(hours=1))
    assert post(history.cast.payments, history.cast.bob).fanned_out_at is None, "or the test proves nothing"
    assert audit() == []


def test_a_retry_scheduled_for_later_is_not_overdue(history: History) -> None:
    Delivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now() + timedelta(hours=4))
    assert audit() == []


# -- Something wrong -----------------------------------------------------------------------------------


def change(message: Message, **columns: object) -> None:
    assert Message.objects.filter(pk=message.pk).update(**columns) == 1


def remove(*messages: Message) -> None:
    Delivery.objects.filter(message__in=messages).delete()
    Message.objects.filter(pk__in=[message.pk for message in messages]).delete()


def delete_the_deliveries(history: History) -> None:
    Delivery.objects.filter(message=history.waiting).delete()
    change(history.waiting, fanned_out_at=None, addressees=None)
    age(history.cast.payments, 5 * MINUTE)


def add_delivery(message: Message, member: Member) -> None:
    Delivery.objects.create(
        tenancy=message.tenancy,
        message=message,
        member=member,
        state="not_sent",
        reason="muted",
        settled_at=timezone.now(),
    )


def leave_without_cancelling(history: History) -> None:
    membership = GroupMembership.objects.filter(member=history.cast.alice)
    membership.update(left_at=timezone.now(), left_roster=history.waiting.roster + 1)


WRONG_TIME = "Message {}: the time since the previous message is not what it says."
WRONG_DECISION = "Message {}: its decision is not what the rule says for its interval and elapsed time."
WRONG_TOPIC = "Topic {topic}: its last message is not the one that it counts on."
NO_ACCESS = "Delivery {delivery} of message {waiting} waits for member {alice}, who can't read its topic any more."

DAMAGES: dict[str, tuple[Callable[[History], object], list[str]]] = {
    "a message is gone": (
        lambda history: remove(history.silent),
        ["Message {waiting} is number 3 of its topic; 2 would be next."],
    ),
    "the first message is gone": (
        lambda history: remove(history.mailed),
        ["Message {silent} is number 2 of its topic; 1 would be next."],
    ),
    "the last message is gone": (lambda history: remove(history.waiting), [WRONG_TOPIC]),
    "all messages are gone": (
        lambda history: remove(*history.messages),
        [WRONG_TOPIC],
    ),
    "a topic that counts one message too many": (
        lambda history: Topic.objects.filter(last_sequence=3).update(last_sequence=4),
        [WRONG_TOPIC],
    ),
    "a topic with another last activity": (
        lambda history: Topic.objects.filter(last_sequence=3).update(last_activity_at=timezone.now() - MINUTE),
        [WRONG_TOPIC],
    ),
    "another time since the previous message": (
        lambda history: change(history.silent, elapsed=MINUTE),
        [WRONG_TIME.format("{silent}")],
    ),
    "a time since the previous message for the first": (
        lambda history: change(history.mailed, elapsed=31 * MINUTE),
        [WRONG_TIME.format("{mailed}")],
    ),
    "no time since the previous message": (
        lambda history: change(history.waiting, elapsed=None),
        [WRONG_TIME.format("{waiting}")],
    ),
    "a message's time was changed": (
        lambda history: change(history.mailed, posted_at=history.mailed.posted_at - timedelta(days=1)),
        [WRONG_TIME.format("{silent}")],
    ),
    "suppressed outside the interval": (
        lambda history: change(history.silent, interval_minutes=0),
        [WRONG_DECISION.format("{silent}")],
    ),
    "e-mailed within the interval": (
        lambda history: change(history.waiting, interval_minutes=600),
        [WRONG_DECISION.format("{waiting}")],
    ),
    "no deliveries": (
        delete_the_deliveries,
        ["Message {waiting} has no deliveries yet, 5 minutes after it was posted."],
    ),
    "a member without a delivery": (
        lambda history: history.of(history.waiting, history.cast.bob).delete(),
        ["Message {waiting} has no delivery for member {bob}, who was in its group."],
    ),
    "a member without a delivery that was due": (
        lambda history: history.of(history.waiting, history.cast.alice).delete(),
        [
            "Message {waiting} has no delivery for member {alice}, who was in its group.",
            "Message {waiting} says that mails to 1 were due; its deliveries say 0.",
        ],
    ),
    "a delivery to a member who joined later": (
        lambda history: add_delivery(history.waiting, history.cast.mallory),
        ["Delivery {newest} of message {waiting} is for member {mallory}, who was not in its group."],
    ),
    "a delivery of a message that is not e-mailed": (
        lambda history: add_delivery(history.silent, history.cast.alice),
        ["Delivery {newest}: nothing says that its message {silent} is e-mailed."],
    ),
    "another count of addressees": (
        lambda history: change(history.mailed, addressees=7),
        ["Message {mailed} says that mails to 7 were due; its deliveries say 1."],
    ),
    "a mail sent that was not due": (
        lambda history: Delivery.objects.filter(message=history.mailed, reason="muted").update(
            state="sent", reason="", next_attempt_at=None
        ),
        ["Delivery {muted} is sent, with nothing that says when it was due, or why not."],
    ),
    "a mail that is not sent": (
        lambda history: Delivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now() - 4 * MINUTE),
        ["Delivery {delivery} of message {waiting} has been due for 4 minutes."],
    ),
    "a mail to an inactive member": (
        lambda history: Member.objects.filter(pk=history.cast.alice.pk).update(is_active=False),
        [NO_ACCESS],
    ),
    "a mail to an inactive user": (
        lambda history: User.objects.filter(pk=history.cast.alice.user_id).update(is_active=False),
        [NO_ACCESS],
    ),
    "a mail to a member who left": (leave_without_cancelling, [NO_ACCESS]),
    "a mail about an inactive topic": (lambda history: Topic.objects.update(is_active=False), [NO_ACCESS]),
    "a mail of an inactive group": (lambda history: MessengerGroup.objects.update(is_active=False), [NO_ACCESS]),
    "a mail while Messenger is off": (lambda history: Tenancy.objects.update(messenger_enabled=False), [NO_ACCESS]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_kind_of_damage_is_reported_with_ids_only(history: History, damage: str) -> None:
    """The sentences contain no text, no names and no addresses."""
    inflict, expected = DAMAGES[damage]
    cast = history.cast
    ids = {
        "mailed": history.mailed.pk,
        "silent": history.silent.pk,
        "waiting": history.waiting.pk,
        "topic": cast.payments.pk,
        "alice": cast.alice.pk,
        "bob": cast.bob.pk,
        "mallory": cast.mallory.pk,
        "delivery": history.of(history.waiting, cast.alice).pk,
        "muted": history.of(history.mailed, cast.bob).pk,
    }
    assert audit() == [], "or the test proves nothing"
    inflict(history)
    newest = Delivery.objects.order_by("pk").values_list("pk", flat=True).last()
    assert sentences() == [sentence.format(**ids, newest=newest) for sentence in expected]


def test_a_wrong_interval_rule_is_reported(cast: Cast, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def more_than_the_interval(posted_at: datetime, previous: datetime | None, interval: timedelta) -> bool:
        return previous is None or posted_at - previous > interval

    monkeypatch.setattr(interval_rule, "is_email_due", more_than_the_interval)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        post(cast.payments, cast.alice)
        clock.shift(cast.payments.interval)
        wrong = post(cast.payments, cast.alice)
        assert wrong.outcome == "no_email", "or the test proves nothing"
        outbox.sweep()
        assert sentences() == [WRONG_DECISION.format(wrong.pk)]


def test_more_patience_reports_fewer_overdue_mails(history: History) -> None:
    Delivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now() - 4 * MINUTE)
    assert len(sentences(3 * MINUTE)) == 1
    assert sentences(5 * MINUTE) == []


def test_findings_beyond_the_limit_are_only_counted(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LISTED", 1)
    Message.objects.filter(outcome="email").update(addressees=7)
    Delivery.objects.filter(message=history.mailed, reason="muted").delete()
    assert [(len(findings.listed), findings.unlisted, findings.count) for findings in audit()] == [(1, 0, 1), (1, 1, 2)]


def test_more_messages_need_no_more_queries(history: History) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert audit() == []
        return len(captured)

    few = queries()
    assert few == len(module.CHECKS)
    for _ in range(10):
        age(history.cast.payments, timedelta(hours=1))
        outbox.fan_out(post(history.cast.payments, history.cast.bob).pk)
    assert queries() == few


# -- The command ---------------------------------------------------------------------------------------


def test_the_command_prints_what_it_checked(history: History) -> None:
    output = StringIO()
    call_command("auditoutbox", stdout=output)
    assert output.getvalue() == (
        "3 messages and 6 deliveries checked: each message has one decision, each member then due has one delivery, "
        "nothing waits too long.\n"
    )


def test_the_command_lists_findings_and_fails(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LISTED", 1)
    Message.objects.filter(outcome="email").update(addressees=7)
    output = StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("auditoutbox", stdout=output)
    assert failure.value.returncode == 1
    assert str(failure.value) == "3 messages and 6 deliveries checked: 2 things are wrong."
    assert output.getvalue().splitlines()[1:] == ["... and 1 more like these."]


def test_the_command_takes_its_patience_in_seconds(history: History) -> None:
    Delivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now() - 4 * MINUTE)
    with pytest.raises(CommandError, match="1 thing is wrong"):
        call_command("auditoutbox", stdout=StringIO())
    call_command("auditoutbox", "--patience", "300", stdout=StringIO())
