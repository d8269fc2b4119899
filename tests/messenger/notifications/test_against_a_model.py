"""Whatever happens, in any order: who was mailed what, and the record of it, against a model of a few lines.

Set MODEL_EXAMPLES=2000, and run pytest with `-o faulthandler_timeout=0`, to search longer than `make test` does.
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
from tests.support.stage import undone

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
# Always the same steps, and no search for the shortest that fail.
THE_SAME = settings(
    EXAMPLES, max_examples=300, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False, print_blob=False
)


# -- The model -----------------------------------------------------------------------------------------


@dataclass
class Model:
    """Who is told of which message, and why the others are not: plain data, nothing of the product."""

    now: datetime = START
    interval: timedelta = 30 * MINUTE
    notifying: bool = True
    last: datetime | None = None  # when the last message was posted
    members: set[str] = field(default_factory=lambda: {"alice", "bob", "charlie"})
    inactive: set[str] = field(default_factory=set)
    muted: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)  # who want their own messages too
    closed: set[str] = field(default_factory=set)  # what is switched off of topic, group and Messenger
    authors: list[str] = field(default_factory=list)  # of the messages, which are numbered from 0
    decisions: list[tuple[str, timedelta, timedelta | None]] = field(default_factory=list)
    promised: dict[int, int] = field(default_factory=dict)  # message: to how many
    written: dict[int, datetime] = field(default_factory=dict)  # message: since when its mails wait
    record: dict[tuple[int, str], str] = field(default_factory=dict)  # message, member: waiting, sent or a reason

    def readers(self) -> set[str]:
        return set() if self.closed else self.members - self.inactive

    def exclusion(self, who: str, author: str) -> str:
        if who in self.inactive:
            return "member_inactive"
        if who == author and who not in self.own:
            return "author"
        return "muted" if who in self.muted else ""

    def post(self, author: str) -> None:
        posted_at = max(self.now, self.last or self.now)
        elapsed = posted_at - self.last if self.last else None
        within = elapsed is not None and elapsed < self.interval
        reason = "" if self.notifying and not within else "interval" if self.notifying else "notifications_off"
        number = len(self.authors)
        if not reason:
            told = {(number, who): self.exclusion(who, author) or "waiting" for who in self.members}
            self.record |= told
            self.promised[number] = Counter(told.values())["waiting"]
        self.authors.append(author)
        self.decisions.append((reason, self.interval, elapsed))
        self.last = posted_at

    def write(self, numbers: Iterable[int] | None = None) -> None:
        for number in self.promised if numbers is None else self.promised.keys() & set(numbers):
            self.written.setdefault(number, self.now)

    def cancel(self, reason: str, whose: Iterable[str] = NAMES, by: Iterable[str] = NAMES) -> None:
        self.write()
        for (number, who), state in self.record.items():
            if state == "waiting" and who in whose and self.authors[number] in by:
                self.record[number, who] = reason

    def work(self, numbers: Iterable[int] | None = None) -> None:
        self.write(numbers)
        for (number, who), state in self.record.items():
            if state == "waiting" and (numbers is None or number in numbers):
                self.record[number, who] = "sent"


# -- The product beside it -----------------------------------------------------------------------------

# How far the clock goes on, by the topic's interval.
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
mostly_on = st.sampled_from([True, True, True, True, False])  # or nobody would read the topic, most of the time


class Messenger(RuleBasedStateMachine):
    """Each rule does one thing to the product and to the model; mails go out when the worker comes, not before."""

    def __init__(self, cast: Cast, smtp: SmtpServer) -> None:
        super().__init__()
        clear_audience_cache()  # every play begins with the same revision
        self.members = {name: getattr(cast, name).pk for name in NAMES}
        self.names = {pk: name for name, pk in self.members.items()}
        self.mailboxes = {getattr(cast, name).user.email: name for name in NAMES}
        self.topic_pk, self.group_pk, self.tenancy_pk = cast.payments.pk, cast.payroll.pk, cast.northwind.pk
        self.smtp = smtp
        self.smtp.envelopes.clear()
        self.messages: list[int] = []
        self.model = Model()
        self.stack = ExitStack()
        self.stack.enter_context(undone())
        self.clock = self.stack.enter_context(time_machine.travel(START, tick=False))

    def teardown(self) -> None:
        self.stack.close()

    def topic(self) -> Topic:
        return Topic.objects.get(pk=self.topic_pk)

    def member(self, who: str) -> Member:
        return Member.objects.get(pk=self.members[who])

    @rule(step=steps)
    def wait(self, step: str) -> None:
        self.model.now += STEPS[step](self.model.interval)
        self.clock.move_to(self.model.now)

    @rule(posts=st.lists(st.tuples(st.sampled_from(range(len(NAMES))), steps), min_size=3, max_size=6))
    def talk(self, posts: list[tuple[int, str]]) -> None:
        """Those who may, one after the other."""
        for nth, step in posts:
            readers = sorted(self.model.readers())
            if readers:
                self.post(readers[nth % len(readers)], step)

    @rule(who=names, step=steps)
    def post(self, who: str, step: str = "no time") -> None:
        self.wait(step)
        if who not in self.model.readers():
            with pytest.raises(Topic.DoesNotExist):
                post(self.topic(), self.member(who))
            return
        before, expected = replace(self.model), forecast.forecast(self.topic(), self.member(who), timezone.now())
        message = post(self.topic(), self.member(who))
        self.messages.append(message.pk)
        self.model.post(who)
        reason, interval, _elapsed = self.model.decisions[-1]
        assert message.reason == reason
        assert expected.reason == reason
        assert expected.recipients == sum(not before.exclusion(name, who) for name in before.readers())
        assert expected.is_emailed == bool(self.model.promised.get(len(self.messages) - 1))
        assert expected.email_from == (before.last + interval if before.last and reason == "interval" else None)

    @precondition(lambda self: self.model.readers())
    @rule()
    def post_when_the_forecast_says(self) -> None:
        """A second sooner is too soon."""
        who = min(self.model.readers())
        foreseen = forecast.forecast(self.topic(), self.member(who), timezone.now())
        if foreseen.email_from is None:
            return
        assert foreseen.email_from > timezone.now()
        self.clock.move_to(foreseen.email_from - SECOND)
        with undone():
            assert post(self.topic(), self.member(who)).reason == Message.Reason.INTERVAL
        self.model.now = foreseen.email_from
        self.clock.move_to(self.model.now)
        self.post(who)
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

    @rule(who=names)
    def join_or_leave(self, who: str) -> None:
        self.edit_group(self.model.members ^ {who}, "group" not in self.model.closed)

    @rule(users=st.sets(names, min_size=2), active=mostly_on)
    def edit_group(self, users: set[str], active: bool) -> None:
        """Who is in it, and whether it is active, in one form."""
        group = MessengerGroup.objects.get(pk=self.group_pk)
        group.is_active = active
        save_group(group, [self.member(who) for who in users])
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

    @rule(who=names, active=mostly_on)
    def switch_member(self, who: str, active: bool) -> None:
        member = self.member(who)
        member.is_active = active
        save_member(member)
        if (who in self.model.inactive) == active:
            self.model.cancel("member_inactive", {who})
        self.model.inactive = self.model.inactive - {who} if active else self.model.inactive | {who}

    @rule(who=names, muted=switch)
    def mute(self, who: str, muted: bool) -> None:
        preferences.set_muted(self.topic(), self.member(who), muted)
        self.model.cancel("muted", {who} if muted else ())
        self.model.muted = self.model.muted | {who} if muted else self.model.muted - {who}

    @rule(who=names, wanted=switch)
    def choose_own_messages(self, who: str, wanted: bool) -> None:
        preferences.save_preference(MailPreference(member=self.member(who), own_messages=wanted))
        self.model.cancel("author", () if wanted else {who}, by={who})
        self.model.own = self.model.own | {who} if wanted else self.model.own - {who}

    @rule()
    def sweep(self) -> None:
        outbox.sweep()
        self.model.work()
        assert audit(patience=timedelta(0)) == []

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def hint(self, data: st.DataObject) -> None:
        """The task about one message: at once, late or again."""
        number = data.draw(st.integers(0, len(self.messages) - 1))
        notify_members(self.messages[number])
        self.model.work({number})

    @invariant()
    def mails_are_those_of_the_model(self) -> None:
        """What the mail server was given, each mail by its Message-ID and its envelope."""
        given = Counter[tuple[int, str]]()
        for envelope in self.smtp.envelopes:
            (address,) = envelope.rcpt_tos
            found = re.search(rb"(?im)^Message-ID: <message-(\d+)-(\d+)@", envelope.content or b"")  # type: ignore[arg-type]
            assert found
            assert self.names[int(found[2])] == self.mailboxes[address]
            given[self.messages.index(int(found[1])), self.mailboxes[address]] += 1
        assert given == Counter(key for key, state in self.model.record.items() if state == "sent")

    @invariant()
    def the_record_is_that_of_the_model(self) -> None:
        rows = Message.objects.filter(topic=self.topic_pk).order_by("sequence")
        assert list(rows.values_list("pk", flat=True)) == self.messages
        for number, message in enumerate(rows):
            reason, interval, elapsed = self.model.decisions[number]
            assert message.outcome == ("no_email" if reason else "email")
            assert message.reason == reason
            assert (message.interval_minutes * MINUTE, message.elapsed) == (interval, elapsed)
            assert message.fanned_out_at == self.model.written.get(number)
            assert message.addressees == (self.model.promised[number] if number in self.model.written else None)
        deliveries = Delivery.objects.filter(message__in=self.messages).values_list(
            "message", "member", "state", "reason"
        )
        assert {
            (self.messages.index(message), self.names[member]): (state, reason)
            for message, member, state, reason in deliveries
        } == {
            (number, who): (state, "") if state in ("waiting", "sent") else ("not_sent", state)
            for (number, who), state in self.model.record.items()
            if number in self.model.written
        }


@pytest.fixture
def messenger(cast: Cast, smtp: SmtpServer) -> Callable[[], Messenger]:
    """Mallory was in the group once, and may come back."""
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie, cast.mallory])
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    assert cast.payments.notification_interval * MINUTE == Model().interval
    return lambda: Messenger(cast, smtp)


def explore(messenger: Callable[[], Messenger], how: settings) -> None:
    run_state_machine_as_test(messenger, settings=how)  # type: ignore[arg-type]  # a class is not needed


def test_whatever_happens_the_mails_the_record_and_the_forecast_are_those_of_the_model(
    messenger: Callable[[], Messenger],
) -> None:
    explore(messenger, EXAMPLES)


# -- What the machine is worth -------------------------------------------------------------------------


def more_than_the_interval(posted_at: datetime, previous_posted_at: datetime | None, interval: timedelta) -> bool:
    return previous_posted_at is None or posted_at - previous_posted_at > interval


def not_the_first(posted_at: datetime, previous_posted_at: datetime | None, interval: timedelta) -> bool:
    return previous_posted_at is not None and posted_at - previous_posted_at >= interval


def nobody_is_excluded(_topic: Any, _author_pk: int) -> Case:
    return Case(default=Value(""))


def everybody(audience: Audience, **_wishes: bool) -> int:
    return audience.people


def who_reads_it_now(message: Message) -> Any:
    return Member.objects.filter(pk__in=message.topic.readers())


def nothing(*_arguments: Any) -> None:
    pass


@dataclass(frozen=True)
class Mutant:
    module: Any
    name: str
    wrong: Callable[..., Any]
    steps: list[tuple[Any, ...]]  # the shortest that show it


MUTANTS = {
    "exactly the interval is suppressed": Mutant(
        interval_rule,
        "is_email_due",
        more_than_the_interval,
        [("post", "alice"), ("post", "bob", "exactly the interval")],
    ),
    "a first message is suppressed": Mutant(interval_rule, "is_email_due", not_the_first, [("post", "alice")]),
    "mutes and authors are ignored": Mutant(
        outbox, "exclusion", nobody_is_excluded, [("mute", "bob", True), ("post", "alice"), ("sweep",)]
    ),
    "the forecast counts who gets none": Mutant(
        Audience, "recipients", everybody, [("mute", "bob", True), ("post", "alice")]
    ),
    "who joins afterwards is told": Mutant(
        outbox, "members_at", who_reads_it_now, [("post", "alice"), ("join_or_leave", "mallory"), ("sweep",)]
    ),
    "what waits is not cancelled": Mutant(
        cancellation, "cancel", nothing, [("post", "alice"), ("switch_topic", False)]
    ),
    "a mute counts for what was posted before": Mutant(
        preferences, "fan_out_pending", nothing, [("post", "alice"), ("mute", "bob", True)]
    ),
    "a choice counts for what was posted before": Mutant(
        preferences, "fan_out_pending_of", nothing, [("post", "alice"), ("choose_own_messages", "alice", True)]
    ),
}
# Those that chance finds within a second; to look for the others takes too long for every run.
SOON_FOUND = [
    "exactly the interval is suppressed",
    "mutes and authors are ignored",
    "the forecast counts who gets none",
    "what waits is not cancelled",
]


@contextmanager
def putting(mutant: Mutant) -> Iterator[None]:
    assert hasattr(mutant.module, mutant.name), "or nothing is replaced"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutant.module, mutant.name, mutant.wrong)
        yield


def play(machine: Messenger, steps: list[tuple[Any, ...]]) -> None:
    try:
        for name, *arguments in steps:
            getattr(machine, name)(*arguments)
            machine.mails_are_those_of_the_model()
            machine.the_record_is_that_of_the_model()
    finally:
        machine.teardown()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_few_steps_show_what_is_wrong(messenger: Callable[[], Messenger], name: str) -> None:
    mutant = MUTANTS[name]
    play(messenger(), mutant.steps)
    with putting(mutant), pytest.raises(AssertionError):
        play(messenger(), mutant.steps)


@pytest.mark.parametrize("name", SOON_FOUND)
def test_chance_finds_what_is_wrong(messenger: Callable[[], Messenger], name: str) -> None:
    with putting(MUTANTS[name]), pytest.raises(AssertionError):
        explore(messenger, THE_SAME)
