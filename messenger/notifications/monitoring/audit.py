"""Verifies the outbox: each message has one decision, each member due then has one delivery, and nothing waits too
long.

Each check is one query whose rows are streamed. It yields a sentence for each error, with ids only, because these
sentences end up in tickets and logs. If a member loses access while a mail to them is being sent,
`waiting_without_access` reports that mail until it is settled: only what a second audit reports again is an error.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db.models import Count, Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from messenger.models import Delivery, GroupMembership, Message, Topic
from messenger.notifications.recipients import held_at
from messenger.notifications.rule import is_email_due

# The sweep runs every ten seconds.
FANNED_OUT_WITHIN = timedelta(minutes=1)
PATIENCE = timedelta(minutes=2)
MAX_LISTED = 20  # sentences of each check
CHUNK_SIZE = 10_000

EMAIL = Message.Outcome.EMAIL
# The reasons why no mail to a member was due when the message was posted (`exclusion` in recipients.py).
EXCLUSIONS = (Delivery.Reason.MEMBER_INACTIVE, Delivery.Reason.AUTHOR, Delivery.Reason.MUTED)


@dataclass(frozen=True)
class AuditTime:
    now: datetime
    patience: timedelta  # how long a mail that is due may wait


@dataclass(frozen=True)
class Findings:
    """The errors that one check found."""

    listed: list[str]  # sentences, at most MAX_LISTED
    unlisted: int  # how many more there are

    @property
    def count(self) -> int:
        return len(self.listed) + self.unlisted


def audit(patience: timedelta = PATIENCE) -> list[Findings]:
    """The findings of each check that found errors; an empty list if everything is right."""
    time = AuditTime(timezone.now(), patience)
    return [findings for check in CHECKS if (findings := _collect(check(time))).count]


def _collect(sentences: Iterator[str]) -> Findings:
    return Findings(listed=list(islice(sentences, MAX_LISTED)), unlisted=sum(1 for _ in sentences))


# -- Decisions -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DecidedMessage:
    """The columns of a message that its decision depends on or consists of."""

    pk: int
    topic: int
    sequence: int
    posted_at: datetime
    outcome: str
    reason: str
    interval_minutes: int
    elapsed: timedelta | None

    @property
    def follows_the_rule(self) -> bool:
        if self.reason == Message.Reason.NOTIFICATIONS_OFF:
            return self.outcome == Message.Outcome.NO_EMAIL
        previous = None if self.elapsed is None else self.posted_at - self.elapsed
        is_due = is_email_due(self.posted_at, previous, timedelta(minutes=self.interval_minutes))
        return (self.outcome, self.reason) == ((EMAIL, "") if is_due else (Message.Outcome.NO_EMAIL, "interval"))


def decisions(_time: AuditTime) -> Iterator[str]:
    """Compares each message with the message before it, and its decision with the interval rule."""
    columns = ("pk", "topic", "sequence", "posted_at", "outcome", "reason", "interval_minutes", "elapsed")
    rows = Message.objects.order_by("topic", "sequence").values_list(*columns)
    previous: DecidedMessage | None = None
    for row in rows.iterator(CHUNK_SIZE):
        message = DecidedMessage(*row)
        if previous and previous.topic != message.topic:
            previous = None
        expected = previous.sequence + 1 if previous else 1
        if message.sequence != expected:
            yield f"Message {message.pk} is number {message.sequence} of its topic; {expected} would be next."
        elif message.elapsed != (message.posted_at - previous.posted_at if previous else None):
            yield f"Message {message.pk}: the time since the previous message is not what it says."
        if not message.follows_the_rule:
            yield f"Message {message.pk}: its decision is not what the rule says for its interval and elapsed time."
        previous = message


def topics(_time: AuditTime) -> Iterator[str]:
    """Compares the columns about the last message, which the next decision depends on, with that message."""
    last = Message.objects.filter(topic=OuterRef("pk")).newest_first()
    found = Topic.objects.annotate(
        found=Coalesce(Subquery(last.values("sequence")[:1]), 0), latest=Subquery(last.values("posted_at")[:1])
    )
    wrong = found.exclude(Q(last_sequence=F("found")) & (Q(found=0) | Q(last_activity_at=F("latest"))))
    for pk in wrong.order_by("pk").values_list("pk", flat=True).iterator(CHUNK_SIZE):
        yield f"Topic {pk}: its last message is not the one that it counts on."


# -- Deliveries ----------------------------------------------------------------------------------------


def not_fanned_out(time: AuditTime) -> Iterator[str]:
    late = Message.objects.filter(outcome=EMAIL, fanned_out_at=None, posted_at__lt=time.now - FANNED_OUT_WITHIN)
    for pk, posted_at in late.order_by("pk").values_list("pk", "posted_at").iterator(CHUNK_SIZE):
        yield f"Message {pk} has no deliveries yet, {_minutes(time.now - posted_at)} after it was posted."


def missing(_time: AuditTime) -> Iterator[str]:
    members = "topic__group__memberships__"
    written = Delivery.objects.filter(message=OuterRef("pk"), member=OuterRef(f"{members}member"))
    # One `filter` call, so that all conditions apply to the same membership.
    incomplete = Message.objects.filter(
        held_at(F("roster"), members), ~Exists(written), outcome=EMAIL, fanned_out_at__isnull=False
    )
    for pk, member in incomplete.values_list("pk", f"{members}member").iterator(CHUNK_SIZE):
        yield f"Message {pk} has no delivery for member {member}, who was in its group."


def for_non_members(_time: AuditTime) -> Iterator[str]:
    memberships = GroupMembership.objects.filter(
        held_at(OuterRef("message__roster")), group__topics=OuterRef("message__topic"), member=OuterRef("member")
    )
    wrong = Delivery.objects.filter(~Exists(memberships))
    for pk, message, member in wrong.values_list("pk", "message", "member").iterator(CHUNK_SIZE):
        yield f"Delivery {pk} of message {message} is for member {member}, who was not in its group."


def without_decision(_time: AuditTime) -> Iterator[str]:
    """Deliveries of messages that are not e-mailed, or that have not been fanned out."""
    wrong = Delivery.objects.filter(~Q(message__outcome=EMAIL) | Q(message__fanned_out_at=None))
    for pk, message in wrong.values_list("pk", "message").iterator(CHUNK_SIZE):
        yield f"Delivery {pk}: nothing says that its message {message} is e-mailed."


def miscounted(_time: AuditTime) -> Iterator[str]:
    due = Count("deliveries", filter=Q(deliveries__next_attempt_at__isnull=False))
    written = Message.objects.filter(fanned_out_at__isnull=False).values("pk", "addressees").annotate(due=due)
    wrong = written.exclude(addressees=F("due")).values_list("pk", "addressees", "due")
    for pk, addressees, count in wrong.iterator(CHUNK_SIZE):
        yield f"Message {pk} says that mails to {addressees} were due; its deliveries say {count}."


def not_due(_time: AuditTime) -> Iterator[str]:
    """Deliveries that were never due, although no exclusion says why."""
    wrong = Delivery.objects.filter(next_attempt_at=None).exclude(reason__in=EXCLUSIONS)
    for pk, state in wrong.values_list("pk", "state").iterator(CHUNK_SIZE):
        yield f"Delivery {pk} is {state.replace('_', ' ')}, with nothing that says when it was due, or why not."


# -- Waiting -------------------------------------------------------------------------------------------


def overdue(time: AuditTime) -> Iterator[str]:
    overdue_since = time.now - time.patience
    late = Delivery.objects.filter(state=Delivery.State.WAITING, next_attempt_at__lt=overdue_since)
    rows = late.order_by("next_attempt_at").values_list("pk", "message", "next_attempt_at")
    for pk, message, due in rows.iterator(CHUNK_SIZE):
        if due is not None:  # never None because of the filter; for the type checker
            yield f"Delivery {pk} of message {message} has been due for {_minutes(time.now - due)}."


def waiting_without_access(_time: AuditTime) -> Iterator[str]:
    access = GroupMembership.objects.letting_into(OuterRef("message__topic")).filter(member=OuterRef("member"))
    wrong = Delivery.objects.filter(~Exists(access), state=Delivery.State.WAITING)
    for pk, message, member in wrong.values_list("pk", "message", "member").iterator(CHUNK_SIZE):
        yield f"Delivery {pk} of message {message} waits for member {member}, who can't read its topic any more."


CHECKS: tuple[Callable[[AuditTime], Iterator[str]], ...] = (
    decisions,
    topics,
    not_fanned_out,
    missing,
    for_non_members,
    without_decision,
    miscounted,
    not_due,
    overdue,
    waiting_without_access,
)


def _minutes(time: timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    return f"{minutes} minute" if minutes == 1 else f"{minutes} minutes"
