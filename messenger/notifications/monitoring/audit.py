"""Whether the outbox did what it promises: one decision for each message, one delivery for each member then due,
nothing waiting too long.

Each check is one query, whose rows are read as they come, and yields a sentence for each thing that is wrong: ids
only, for such sentences end up in tickets and logs. A mail that is being sent while somebody loses their access is
named by `kept_without_access` until its sender is done: what is named twice is wrong.
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

# The sweeper comes every ten seconds.
WRITTEN_WITHIN = timedelta(minutes=1)
PATIENCE = timedelta(minutes=2)
LISTED_OF_A_KIND = 20
READ_AT_ONCE = 10_000

EMAIL = Message.Outcome.EMAIL
# Why no mail was due to a member when the message was posted (messenger/notifications/recipients.py, exclusion).
EXCLUSIONS = (Delivery.Reason.MEMBER_INACTIVE, Delivery.Reason.AUTHOR, Delivery.Reason.MUTED)


@dataclass(frozen=True)
class Moment:
    now: datetime
    patience: timedelta  # how long a mail that is due may wait


@dataclass(frozen=True)
class Findings:
    """Of one kind."""

    listed: list[str]
    unlisted: int

    @property
    def count(self) -> int:
        return len(self.listed) + self.unlisted


def audit(patience: timedelta = PATIENCE) -> list[Findings]:
    """All that is wrong; none of it: an empty list."""
    moment = Moment(timezone.now(), patience)
    return [findings for check in CHECKS if (findings := _collect(check(moment))).count]


def _collect(sentences: Iterator[str]) -> Findings:
    return Findings(listed=list(islice(sentences, LISTED_OF_A_KIND)), unlisted=sum(1 for _ in sentences))


# -- Decisions -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decided:
    """A message as far as its decision goes."""

    pk: int
    topic: int
    sequence: int
    posted_at: datetime
    outcome: str
    reason: str
    interval_minutes: int
    elapsed: timedelta | None

    @property
    def is_as_the_rule_says(self) -> bool:
        if self.reason == Message.Reason.NOTIFICATIONS_OFF:
            return self.outcome == Message.Outcome.NO_EMAIL
        previous = None if self.elapsed is None else self.posted_at - self.elapsed
        is_due = is_email_due(self.posted_at, previous, timedelta(minutes=self.interval_minutes))
        return (self.outcome, self.reason) == ((EMAIL, "") if is_due else (Message.Outcome.NO_EMAIL, "interval"))


def decisions(_moment: Moment) -> Iterator[str]:
    """The pure rule asked again about what each message says of itself, and that against the message before."""
    columns = ("pk", "topic", "sequence", "posted_at", "outcome", "reason", "interval_minutes", "elapsed")
    rows = Message.objects.order_by("topic", "sequence").values_list(*columns)
    previous: Decided | None = None
    for row in rows.iterator(READ_AT_ONCE):
        message = Decided(*row)
        if previous and previous.topic != message.topic:
            previous = None
        expected = previous.sequence + 1 if previous else 1
        if message.sequence != expected:
            yield f"Message {message.pk} is number {message.sequence} of its topic; {expected} would be next."
        elif message.elapsed != (message.posted_at - previous.posted_at if previous else None):
            yield f"Message {message.pk}: the time since the previous message is not what it says."
        if not message.is_as_the_rule_says:
            yield f"Message {message.pk}: its decision is not what the rule says for its interval and elapsed time."
        previous = message


def topics(_moment: Moment) -> Iterator[str]:
    """A topic knows its last message: the next decision depends on it."""
    last = Message.objects.filter(topic=OuterRef("pk")).newest_first()
    found = Topic.objects.annotate(
        found=Coalesce(Subquery(last.values("sequence")[:1]), 0), latest=Subquery(last.values("posted_at")[:1])
    )
    wrong = found.exclude(Q(last_sequence=F("found")) & (Q(found=0) | Q(last_activity_at=F("latest"))))
    for pk in wrong.order_by("pk").values_list("pk", flat=True).iterator(READ_AT_ONCE):
        yield f"Topic {pk}: its last message is not the one that it counts on."


# -- Deliveries ----------------------------------------------------------------------------------------


def unwritten(moment: Moment) -> Iterator[str]:
    late = Message.objects.filter(outcome=EMAIL, fanned_out_at=None, posted_at__lt=moment.now - WRITTEN_WITHIN)
    for pk, posted_at in late.order_by("pk").values_list("pk", "posted_at").iterator(READ_AT_ONCE):
        yield f"Message {pk} has no deliveries yet, {_minutes(moment.now - posted_at)} after it was posted."


def missing(_moment: Moment) -> Iterator[str]:
    members = "topic__group__memberships__"
    written = Delivery.objects.filter(message=OuterRef("pk"), member=OuterRef(f"{members}member"))
    # In one filter, so that all of it is about the same membership.
    lacking = Message.objects.filter(
        held_at(F("roster"), members), ~Exists(written), outcome=EMAIL, fanned_out_at__isnull=False
    )
    for pk, member in lacking.values_list("pk", f"{members}member").iterator(READ_AT_ONCE):
        yield f"Message {pk} has no delivery for member {member}, who was in its group."


def to_strangers(_moment: Moment) -> Iterator[str]:
    memberships = GroupMembership.objects.filter(
        held_at(OuterRef("message__roster")), group__topics=OuterRef("message__topic"), member=OuterRef("member")
    )
    strange = Delivery.objects.filter(~Exists(memberships))
    for pk, message, member in strange.values_list("pk", "message", "member").iterator(READ_AT_ONCE):
        yield f"Delivery {pk} of message {message} is for member {member}, who was not in its group."


def undecided(_moment: Moment) -> Iterator[str]:
    """Deliveries of messages that are not e-mailed, or whose deliveries are still to be written."""
    wrong = Delivery.objects.filter(~Q(message__outcome=EMAIL) | Q(message__fanned_out_at=None))
    for pk, message in wrong.values_list("pk", "message").iterator(READ_AT_ONCE):
        yield f"Delivery {pk}: nothing says that its message {message} is e-mailed."


def miscounted(_moment: Moment) -> Iterator[str]:
    due = Count("deliveries", filter=Q(deliveries__next_attempt_at__isnull=False))
    written = Message.objects.filter(fanned_out_at__isnull=False).values("pk", "addressees").annotate(due=due)
    wrong = written.exclude(addressees=F("due")).values_list("pk", "addressees", "due")
    for pk, addressees, count in wrong.iterator(READ_AT_ONCE):
        yield f"Message {pk} says that mails to {addressees} were due; its deliveries say {count}."


def undue(_moment: Moment) -> Iterator[str]:
    wrong = Delivery.objects.filter(next_attempt_at=None).exclude(reason__in=EXCLUSIONS)
    for pk, state in wrong.values_list("pk", "state").iterator(READ_AT_ONCE):
        yield f"Delivery {pk} is {state.replace('_', ' ')}, with nothing that says when it was due, or why not."


# -- Waiting -------------------------------------------------------------------------------------------


def overdue(moment: Moment) -> Iterator[str]:
    late = Delivery.objects.filter(
        state=Delivery.State.WAITING, next_attempt_at__lt=moment.now - moment.patience
    ).order_by("next_attempt_at")
    for pk, message, due in late.values_list("pk", "message", "next_attempt_at").iterator(READ_AT_ONCE):
        if due is not None:  # as the filter wants it
            yield f"Delivery {pk} of message {message} has been due for {_minutes(moment.now - due)}."


def kept_without_access(_moment: Moment) -> Iterator[str]:
    access = GroupMembership.objects.letting_into(OuterRef("message__topic")).filter(member=OuterRef("member"))
    kept = Delivery.objects.filter(~Exists(access), state=Delivery.State.WAITING)
    for pk, message, member in kept.values_list("pk", "message", "member").iterator(READ_AT_ONCE):
        yield f"Delivery {pk} of message {message} waits for member {member}, who can't read its topic any more."


CHECKS: tuple[Callable[[Moment], Iterator[str]], ...] = (
    decisions,
    topics,
    unwritten,
    missing,
    to_strangers,
    undecided,
    miscounted,
    undue,
    overdue,
    kept_without_access,
)


def _minutes(time: timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    return f"{minutes} minute" if minutes == 1 else f"{minutes} minutes"
