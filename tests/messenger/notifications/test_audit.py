"""The audit of the outbox: silent about whatever the product does, and one sentence for each thing that is wrong."""

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
    """Three messages, of which the last one's mail to Alice waits; Bob has muted the topic, Mallory came later."""

    cast: Cast
    mailed: Message
    silent: Message
    waiting: Message

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


def test_what_the_product_did_is_right(history: History) -> None:
    """For any order of events see the machine of test_model.py, which asks for the audit at every sweep."""
    assert audit() == []
    save_group(history.cast.payroll, [history.cast.bob])
    history.cast.payments.is_active = False
    save_topic(history.cast.payments, ["is_active"])
    assert audit() == []


def test_the_demo_is_right() -> None:
    create_demo()
    assert Message.objects.count() > 20, "or the test proves nothing"
    assert Delivery.objects.count() > 20, "or the test proves nothing"
    assert audit() == []


def test_what_was_posted_just_now_may_still_have_its_deliveries_written(history: History) -> None:
    age(history.cast.payments, timedelta(hours=1))
    assert post(history.cast.payments, history.cast.bob).fanned_out_at is None, "or the test proves nothing"
    assert audit() == []


def test_a_retry_that_is_still_to_come_does_not_wait_too_long(history: History) -> None:
    Delivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now() + timedelta(hours=4))
    assert audit() == []


# -- Something wrong -----------------------------------------------------------------------------------


def change(message: Message, **columns: object) -> None:
    assert Message.objects.filter(pk=message.pk).update(**columns) == 1


def remove(*messages: Message) -> None:
    Delivery.objects.filter(message__in=messages).delete()
    Message.objects.filter(pk__in=[message.pk for message in messages]).delete()


def forget_the_deliveries(history: History) -> None:
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


def leave_past_everything(history: History) -> None:
    membership = GroupMembership.objects.filter(member=history.cast.alice)
    membership.update(left_at=timezone.now(), left_roster=history.waiting.roster + 1)


TIME_IS_WRONG = "Message {}: the time since the previous message is not what it says."
RULE_IS_BROKEN = "Message {}: its decision is not what the rule says for its interval and elapsed time."
TOPIC_IS_WRONG = "Topic {topic}: its last message is not the one that it counts on."
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
    "the last message is gone": (lambda history: remove(history.waiting), [TOPIC_IS_WRONG]),
    "all messages are gone": (
        lambda history: remove(*history.messages),
        [TOPIC_IS_WRONG],
    ),
    "a topic that counts on one more": (
        lambda history: Topic.objects.filter(last_sequence=3).update(last_sequence=4),
        [TOPIC_IS_WRONG],
    ),
    "a topic's last activity is another": (
        lambda history: Topic.objects.filter(last_sequence=3).update(last_activity_at=timezone.now() - MINUTE),
        [TOPIC_IS_WRONG],
    ),
    "another time since the previous message": (
        lambda history: change(history.silent, elapsed=MINUTE),
        [TIME_IS_WRONG.format("{silent}")],
    ),
    "a time since the previous message for the first": (
        lambda history: change(history.mailed, elapsed=31 * MINUTE),
        [TIME_IS_WRONG.format("{mailed}")],
    ),
    "no time since the previous message": (
        lambda history: change(history.waiting, elapsed=None),
        [TIME_IS_WRONG.format("{waiting}")],
    ),
    "a message moved in time": (
        lambda history: change(history.mailed, posted_at=history.mailed.posted_at - timedelta(days=1)),
        [TIME_IS_WRONG.format("{silent}")],
    ),
    "suppressed without need": (
        lambda history: change(history.silent, interval_minutes=0),
        [RULE_IS_BROKEN.format("{silent}")],
    ),
    "e-mailed within the interval": (
        lambda history: change(history.waiting, interval_minutes=600),
        [RULE_IS_BROKEN.format("{waiting}")],
    ),
    "no deliveries": (
        forget_the_deliveries,
        ["Message {waiting} has no deliveries yet, 5 minutes after it was posted."],
    ),
    "a member forgotten": (
        lambda history: history.of(history.waiting, history.cast.bob).delete(),
        ["Message {waiting} has no delivery for member {bob}, who was in its group."],
    ),
    "a member forgotten to whom a mail was due": (
        lambda history: history.of(history.waiting, history.cast.alice).delete(),
        [
            "Message {waiting} has no delivery for member {alice}, who was in its group.",
            "Message {waiting} says that mails to 1 were due; its deliveries say 0.",
        ],
    ),
    "somebody who joined later": (
        lambda history: add_delivery(history.waiting, history.cast.mallory),
        ["Delivery {newest} of message {waiting} is for member {mallory}, who was not in its group."],
    ),
    "a delivery of what is not e-mailed": (
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
    "a mail that nobody sends": (
        lambda history: Delivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now() - 4 * MINUTE),
        ["Delivery {delivery} of message {waiting} has been due for 4 minutes."],
    ),
    "a mail to somebody made inactive": (
        lambda history: Member.objects.filter(pk=history.cast.alice.pk).update(is_active=False),
        [NO_ACCESS],
    ),
    "a mail to a person made inactive": (
        lambda history: User.objects.filter(pk=history.cast.alice.user_id).update(is_active=False),
        [NO_ACCESS],
    ),
    "a mail to somebody who left": (leave_past_everything, [NO_ACCESS]),
    "a mail about a topic made inactive": (lambda history: Topic.objects.update(is_active=False), [NO_ACCESS]),
    "a mail of a group made inactive": (lambda history: MessengerGroup.objects.update(is_active=False), [NO_ACCESS]),
    "a mail while Messenger is off": (lambda history: Tenancy.objects.update(messenger_enabled=False), [NO_ACCESS]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_named_by_ids(history: History, damage: str) -> None:
    """By nothing else: no text, no names, no addresses."""
    do_it, expected = DAMAGES[damage]
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
    do_it(history)
    newest = Delivery.objects.order_by("pk").values_list("pk", flat=True).last()
    assert sentences() == [sentence.format(**ids, newest=newest) for sentence in expected]


def test_a_product_that_decides_wrongly_is_named(cast: Cast, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def more_than_the_interval(posted_at: datetime, previous: datetime | None, interval: timedelta) -> bool:
        return previous is None or posted_at - previous > interval

    monkeypatch.setattr(interval_rule, "is_email_due", more_than_the_interval)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        post(cast.payments, cast.alice)
        clock.shift(cast.payments.interval)
        wrong = post(cast.payments, cast.alice)
        assert wrong.outcome == "no_email", "or the test proves nothing"
        outbox.sweep()
        assert sentences() == [RULE_IS_BROKEN.format(wrong.pk)]


def test_who_has_more_patience_finds_less(history: History) -> None:
    Delivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now() - 4 * MINUTE)
    assert len(sentences(3 * MINUTE)) == 1
    assert sentences(5 * MINUTE) == []


def test_of_many_of_a_kind_some_are_listed_and_the_rest_counted(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LISTED", 1)
    Message.objects.filter(outcome="email").update(addressees=7)
    Delivery.objects.filter(message=history.mailed, reason="muted").delete()
    assert [(len(findings.listed), findings.unlisted, findings.count) for findings in audit()] == [(1, 0, 1), (1, 1, 2)]


def test_more_messages_are_no_more_queries(history: History) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert audit() == []
        return len(captured)

    few = queries()
    assert few == len(module.CHECKS)
    for _ in range(10):
        age(history.cast.payments, timedelta(hours=1))
        outbox.fan_out(post(history.cast.payments, history.cast.bob).pk)
    assert queries() == few


# -- The command ---------------------------------------------------------------------------------------


def test_the_command_says_what_it_checked(history: History) -> None:
    output = StringIO()
    call_command("auditoutbox", stdout=output)
    assert output.getvalue() == (
        "3 messages and 6 deliveries checked: each message has one decision, each member then due has one delivery, "
        "nothing waits too long.\n"
    )


def test_the_command_lists_what_is_wrong_and_fails(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LISTED", 1)
    Message.objects.filter(outcome="email").update(addressees=7)
    output = StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("auditoutbox", stdout=output)
    assert failure.value.returncode == 1
    assert str(failure.value) == "3 messages and 6 deliveries checked: 2 things are wrong."
    assert output.getvalue().splitlines()[1:] == ["... and 1 more like these."]


def test_the_commands_patience_is_in_seconds(history: History) -> None:
    Delivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now() - 4 * MINUTE)
    with pytest.raises(CommandError, match="1 thing is wrong"):
        call_command("auditoutbox", stdout=StringIO())
    call_command("auditoutbox", "--patience", "300", stdout=StringIO())
