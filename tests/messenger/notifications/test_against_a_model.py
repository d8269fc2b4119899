"""Random steps in any order: compares the mails, their records and the forecasts with a simple model.

To search longer than `make test` does, set MODEL_EXAMPLES=2000 and run pytest with `-o faulthandler_timeout=0`.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db.models import Case, Value
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from messenger.groups.services import save_group
from messenger.models import Delivery, MailPreference, Message, MessengerGroup, Topic
from messenger.notifications import rule as interval_rule
from messenger.notifications.delivery import cancellation, outbox
from messenger.notifications.explanations import forecast
from messenger.notifications.monitoring.audit import audit
from messenger.notifications.preferences import services as preferences
from messenger.notifications.recipients import Audience, clear_audience_cache
from messenger.tasks import notify_members
from messenger.topics.services import save_topic
from tenancy.members import save_member, set_messenger_enabled
from tenancy.models import Member, Tenancy
from tests.support.cast import Cast, post
from tests.support.smtp import SmtpServer
from tests.support.stage import rolled_back

pytestmark = pytest.mark.django_db

NAMES = ("alice", "bob", "charlie", "mallory")
START = datetime(2026, 11, 2, 9, 30, 0, 123456, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)

EXAMPLES = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "30")),
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# The same steps in every run, without a search for the shortest ones that fail.
REPEATABLE = settings(
    EXAMPLES, max_examples=300, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False, print_blob=False
)


# -- The model -----------------------------------------------------------------------------------------


@dataclass
class Model:
    """Who gets a mail about which message, and why the others do not: plain data without any code of the product."""

    now: datetime = START
    interval: timedelta = 30 * MINUTE
    notifying: bool = True
    last: datetime | None = None  # when the last message was posted
    members: set[str] = field(default_factory=lambda: {"alice", "bob", "charlie"})
    inactive: set[str] = field(default_factory=set)
    muted: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)  # members who want mails about their own messages
    closed: set[str] = field(default_factory=set)  # which of topic, group and Messenger are switched off
    authors: list[str] = field(default_factory=list)  # of the messages, which are numbered from 0
    decisions: list[tuple[str, timedelta, timedelta | None]] = field(default_factory=list)  # reason, interval, elapsed
    due: dict[int, int] = field(default_factory=dict)  # by message: how many mails are due
    fanned_out: dict[int, datetime] = field(default_factory=dict)  # by message: when its deliveries were written
    record: dict[tuple[int, str], str] = field(default_factory=dict)  # by message and member: waiting, sent or a reason

    def readers(self) -> set[str]:
        return set() if self.closed else self.members - self.inactive

    def exclusion(self, name: str, author: str) -> str:
        if name in self.inactive:
            return "member_inactive"
        if name == author and name not in self.own:
            return "author"
        return "muted" if name in self.muted else ""

    def post(self, author: str) -> None:
        posted_at = max(self.now, self.last or self.now)
        elapsed = posted_at - self.last if self.last else None
        within = elapsed is not None and elapsed < self.interval
        reason = "" if self.notifying and not within else "interval" if self.notifying else "notifications_off"
        number = len(self.authors)
        if not reason:
            deliveries = {(number, name): self.exclusion(name, author) or "waiting" for name in self.members}
            self.record |= deliveries
            self.due[number] = Counter(deliveries.values())["waiting"]
        self.authors.append(author)
        self.decisions.append((reason, self.interval, elapsed))
        self.last = posted_at

    def fan_out(self, numbers: Iterable[int] | None = None) -> None:
        for number in self.due if numbers is None else self.due.keys() & set(numbers):
            self.fanned_out.setdefault(number, self.now)

    def cancel(self, reason: str, whose: Iterable[str] = NAMES, by: Iterable[str] = NAMES) -> None:
        self.fan_out()
        for (number, name), state in self.record.items():
            if state == "waiting" and name in whose and self.authors[number] in by:
                self.record[number, name] = reason

    def send(self, numbers: Iterable[int] | None = None) -> None:
        self.fan_out(numbers)
        for (number, name), state in self.record.items():
            if state == "waiting" and (numbers is None or number in numbers):
                self.record[number, name] = "sent"


# -- The product ---------------------------------------------------------------------------------------

# How far the clock moves, depending on the topic's interval.
STEPS: dict[str, Callable[[timedelta], timedelta]] = {
    "no time": lambda interval: 0 * SECOND,
    "a second": lambda interval: SECOND,
    "a second less than the interval": lambda interval: interval - SECOND,
    "exactly the interval": lambda interval: interval,
    "a second more than the interval": lambda interval: interval + SECOND,
    "an hour": lambda interval: HOUR,
    "an hour back": lambda interval: -HOUR,
}
names = st.sampled_from(NAMES)
steps = st.sampled_from(list(STEPS))
switch = st.booleans()
mostly_on = st.sampled_from(
    [True, True, True, True, False]
)  # otherwise the topic would have no readers most of the time


class Messenger(RuleBasedStateMachine):
    """Each rule changes the product and the model in the same way; mails are sent only by `sweep` and `notify`."""

    def __init__(self, cast: Cast, smtp: SmtpServer) -> None:
        super().__init__()
        clear_audience_cache()  # each run starts at the same revision
        self.members = {name: getattr(cast, name).pk for name in NAMES}
        self.names = {pk: name for name, pk in self.members.items()}
        self.mailboxes = {getattr(cast, name).user.email: name for name in NAMES}
        self.topic_pk, self.group_pk, self.tenancy_pk = cast.payments.pk, cast.payroll.pk, cast.northwind.pk
        self.smtp = smtp
        self.smtp.envelopes.clear()
        self.messages: list[int] = []
        self.model = Model()
        self.stack = ExitStack()
        self.stack.enter_context(rolled_back())
        self.clock = self.stack.enter_context(time_machine.travel(START, tick=False))

    def teardown(self) -> None:
        self.stack.close()

    def topic(self) -> Topic:
        return Topic.objects.get(pk=self.topic_pk)

    def member(self, name: str) -> Member:
        return Member.objects.get(pk=self.members[name])

    @rule(step=steps)
    def wait(self, step: str) -> None:
        self.model.now += STEPS[step](self.model.interval)
        self.clock.move_to(self.model.now)

    @rule(posts=st.lists(st.tuples(st.sampled_from(range(len(NAMES))), steps), min_size=3, max_size=6))
    def talk(self, posts: list[tuple[int, str]]) -> None:
        """Several readers post, one after the other."""
        for nth, step in posts:
            readers = sorted(self.model.readers())
            if readers:
                self.post(readers[nth % len(readers)], step)

    @rule(name=names, step=steps)
    def post(self, name: str, step: str = "no time") -> None:
        self.wait(step)
        if name not in self.model.readers():
            with pytest.raises(Topic.DoesNotExist):
                post(self.topic(), self.member(name))
            return
        before, expected = replace(self.model), forecast.forecast(self.topic(), self.member(name), timezone.now())
        message = post(self.topic(), self.member(name))
        self.messages.append(message.pk)
        self.model.post(name)
        reason, interval, _elapsed = self.model.decisions[-1]
        assert message.reason == reason
        assert expected.reason == reason
        assert expected.recipients == sum(not before.exclusion(reader, name) for reader in before.readers())
        assert expected.is_emailed == bool(self.model.due.get(len(self.messages) - 1))
        assert expected.email_from == (before.last + interval if before.last and reason == "interval" else None)

    @precondition(lambda self: self.model.readers())
    @rule()
    def post_at_the_time_of_the_forecast(self) -> None:
        """A second earlier, the message is not e-mailed."""
        name = min(self.model.readers())
        expected = forecast.forecast(self.topic(), self.member(name), timezone.now())
        if expected.email_from is None:
            return
        assert expected.email_from > timezone.now()
        self.clock.move_to(expected.email_from - SECOND)
        with rolled_back():
            assert post(self.topic(), self.member(name)).reason == Message.Reason.INTERVAL
        self.model.now = expected.email_from
        self.clock.move_to(self.model.now)
        self.post(name)
        assert self.model.decisions[-1][0] == ""

    @rule(minutes=st.sampled_from([0, 1, 30, 60]))
    def edit_interval(self, minutes: int) -> None:
        topic = self.topic()
        topic.notification_interval = minutes
        save_topic(topic, ["notification_interval"])
        self.model.interval = minutes * MINUTE

    @rule(on=mostly_on)
    def switch_notifications(self, on: bool) -> None:
        topic = self.topic()
        topic.notifications_enabled = on
        save_topic(topic, ["notifications_enabled"])
        self.model.notifying = on

    @rule(name=names)
    def join_or_leave(self, name: str) -> None:
        self.edit_group(self.model.members ^ {name}, "group" not in self.model.closed)

    @rule(users=st.sets(names, min_size=2), active=mostly_on)
    def edit_group(self, users: set[str], active: bool) -> None:
        """Change its members and whether it is active at the same time, as the form does."""
        group = MessengerGroup.objects.get(pk=self.group_pk)
        group.is_active = active
        save_group(group, [self.member(name) for name in users])
        if self.model.members - users:
            self.model.cancel("left", self.model.members - users)
        self.model.members = set(users)
        self._close("group", active, "group_inactive")

    @rule(active=mostly_on)
    def switch_topic(self, active: bool) -> None:
        topic = self.topic()
        topic.is_active = active
        save_topic(topic, ["is_active"])
        self._close("topic", active, "topic_inactive")

    @rule(on=mostly_on)
    def switch_messenger(self, on: bool) -> None:
        set_messenger_enabled(Tenancy.objects.get(pk=self.tenancy_pk), on)
        self._close("messenger", on, "messenger_off")

    def _close(self, what: str, active: bool, reason: str) -> None:
        if active:
            self.model.closed.discard(what)
        else:
            self.model.closed.add(what)
            self.model.cancel(reason)

    @rule(name=names, active=mostly_on)
    def switch_member(self, name: str, active: bool) -> None:
        member = self.member(name)
        member.is_active = active
        save_member(member)
        if (name in self.model.inactive) == active:
            self.model.cancel("member_inactive", {name})
        self.model.inactive = self.model.inactive - {name} if active else self.model.inactive | {name}

    @rule(name=names, muted=switch)
    def mute(self, name: str, muted: bool) -> None:
        preferences.set_muted(self.topic(), self.member(name), muted)
        self.model.cancel("muted", {name} if muted else ())
        self.model.muted = self.model.muted | {name} if muted else self.model.muted - {name}

    @rule(name=names, wanted=switch)
    def want_own_messages(self, name: str, wanted: bool) -> None:
        preferences.save_preference(MailPreference(member=self.member(name), own_messages=wanted))
        self.model.cancel("author", () if wanted else {name}, by={name})
        self.model.own = self.model.own | {name} if wanted else self.model.own - {name}

    @rule()
    def sweep(self) -> None:
        outbox.sweep()
        self.model.send()
        assert audit(patience=timedelta(0)) == []

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def notify(self, data: st.DataObject) -> None:
        """Run the task for one message: in time, late or repeatedly."""
        number = data.draw(st.integers(0, len(self.messages) - 1))
        notify_members(self.messages[number])
        self.model.send({number})

    @invariant()
    def the_mails_agree_with_the_model(self) -> None:
        """The mails that the server received, identified by Message-ID and envelope."""
        received = Counter[tuple[int, str]]()
        for envelope in self.smtp.envelopes:
            (address,) = envelope.rcpt_tos
            found = re.search(rb"(?im)^Message-ID: <message-(\d+)-(\d+)@", envelope.content or b"")  # type: ignore[arg-type]
            assert found
            assert self.names[int(found[2])] == self.mailboxes[address]
            received[self.messages.index(int(found[1])), self.mailboxes[address]] += 1
        assert received == Counter(key for key, state in self.model.record.items() if state == "sent")

    @invariant()
    def the_record_agrees_with_the_model(self) -> None:
        rows = Message.objects.filter(topic=self.topic_pk).order_by("sequence")
        assert list(rows.values_list("pk", flat=True)) == self.messages
        for number, message in enumerate(rows):
            reason, interval, elapsed = self.model.decisions[number]
            assert message.outcome == ("no_email" if reason else "email")
            assert message.reason == reason
            assert (message.interval_minutes * MINUTE, message.elapsed) == (interval, elapsed)
            assert message.fanned_out_at == self.model.fanned_out.get(number)
            assert message.addressees == (self.model.due[number] if number in self.model.fanned_out else None)
        deliveries = Delivery.objects.filter(message__in=self.messages).values_list(
            "message", "member", "state", "reason"
        )
        assert {
            (self.messages.index(message), self.names[member]): (state, reason)
            for message, member, state, reason in deliveries
        } == {
            (number, name): (state, "") if state in ("waiting", "sent") else ("not_sent", state)
            for (number, name), state in self.model.record.items()
            if number in self.model.fanned_out
        }


@pytest.fixture
def messenger(cast: Cast, smtp: SmtpServer) -> Callable[[], Messenger]:
    """Mallory has left the group, and may come back."""
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie, cast.mallory])
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    assert cast.payments.notification_interval * MINUTE == Model().interval
    return lambda: Messenger(cast, smtp)


def explore(messenger: Callable[[], Messenger], options: settings) -> None:
    run_state_machine_as_test(messenger, settings=options)  # type: ignore[arg-type]  # a factory is enough


def test_any_sequence_of_steps_agrees_with_the_model(
    messenger: Callable[[], Messenger],
) -> None:
    explore(messenger, EXAMPLES)


# -- Mutants that the machine must detect --------------------------------------------------------------


def more_than_the_interval(posted_at: datetime, previous_posted_at: datetime | None, interval: timedelta) -> bool:
    return previous_posted_at is None or posted_at - previous_posted_at > interval


def not_the_first(posted_at: datetime, previous_posted_at: datetime | None, interval: timedelta) -> bool:
    return previous_posted_at is not None and posted_at - previous_posted_at >= interval


def no_exclusion(_topic: Any, _author_pk: int) -> Case:
    return Case(default=Value(""))


def all_readers(audience: Audience, **_preferences: bool) -> int:
    return audience.people


def current_readers(message: Message) -> Any:
    return Member.objects.filter(pk__in=message.topic.readers())


def do_nothing(*_arguments: Any) -> None:
    pass


@dataclass(frozen=True)
class Mutant:
    module: Any
    name: str
    replacement: Callable[..., Any]
    steps: list[tuple[Any, ...]]  # the shortest ones that reveal it


MUTANTS = {
    "exactly the interval is suppressed": Mutant(
        interval_rule,
        "is_email_due",
        more_than_the_interval,
        [("post", "alice"), ("post", "bob", "exactly the interval")],
    ),
    "a first message is suppressed": Mutant(interval_rule, "is_email_due", not_the_first, [("post", "alice")]),
    "mutes and authors are ignored": Mutant(
        outbox, "exclusion", no_exclusion, [("mute", "bob", True), ("post", "alice"), ("sweep",)]
    ),
    "the forecast counts members who get no mail": Mutant(
        Audience, "recipients", all_readers, [("mute", "bob", True), ("post", "alice")]
    ),
    "members who join later get a mail": Mutant(
        outbox, "members_at", current_readers, [("post", "alice"), ("join_or_leave", "mallory"), ("sweep",)]
    ),
    "pending mails are not cancelled": Mutant(
        cancellation, "cancel", do_nothing, [("post", "alice"), ("switch_topic", False)]
    ),
    "a mute applies to earlier messages": Mutant(
        preferences, "fan_out_pending", do_nothing, [("post", "alice"), ("mute", "bob", True)]
    ),
    "a preference applies to earlier messages": Mutant(
        preferences, "fan_out_pending_of", do_nothing, [("post", "alice"), ("want_own_messages", "alice", True)]
    ),
}
# Random steps reveal these within a second; the others would take too long for every run.
QUICKLY_FOUND = [
    "exactly the interval is suppressed",
    "mutes and authors are ignored",
    "the forecast counts members who get no mail",
    "pending mails are not cancelled",
]


@contextmanager
def installed(mutant: Mutant) -> Iterator[None]:
    assert hasattr(mutant.module, mutant.name), "or nothing is replaced"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutant.module, mutant.name, mutant.replacement)
        yield


def run_steps(machine: Messenger, steps: list[tuple[Any, ...]]) -> None:
    try:
        for name, *arguments in steps:
            getattr(machine, name)(*arguments)
            machine.the_mails_agree_with_the_model()
            machine.the_record_agrees_with_the_model()
    finally:
        machine.teardown()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_few_steps_reveal_each_mutant(messenger: Callable[[], Messenger], name: str) -> None:
    mutant = MUTANTS[name]
    run_steps(messenger(), mutant.steps)
    with installed(mutant), pytest.raises(AssertionError):
        run_steps(messenger(), mutant.steps)


@pytest.mark.parametrize("name", QUICKLY_FOUND)
def test_random_steps_reveal_a_mutant(messenger: Callable[[], Messenger], name: str) -> None:
    with installed(MUTANTS[name]), pytest.raises(AssertionError):
        explore(messenger, REPEATABLE)
