"""How well e-mails are delivered in a tenancy, for its administrator: numbers and addresses, no topics and no text."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Aggregate, Count, Max, Min, Q, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from messenger.models import Delivery, Message
from messenger.notifications.explanations.wording import elapsed_in_words
from tenancy.models import Member, Tenancy

DAYS = 14
LATELY = timedelta(hours=24)
# The sweep runs every ten seconds, so a mail that waits for longer than this is not just on its way.
HELD_UP_AFTER = timedelta(minutes=2)
MAX_ADDRESSES = 100

State = Delivery.State


@dataclass(frozen=True)
class Day:
    """E-mails by the day on which they were settled; waiting ones by the day on which their message was posted."""

    day: date
    sent: int
    waiting: int
    cancelled: int  # due when the message was posted, but not sent
    failed: int
    not_emailed: int  # messages


@dataclass(frozen=True)
class Waiting:
    emails: int
    held_up: int  # e-mails without an attempt: no worker sent them, or the mail server could not be reached
    messages: int  # messages to be e-mailed whose deliveries are not written yet
    oldest: timedelta | None
    oldest_held_up: timedelta | None
    oldest_message: timedelta | None


@dataclass(frozen=True)
class FailingAddress:
    member: Member
    answer: str  # the last answer of the mail server
    failed: int
    put_off: int  # e-mails that are tried again
    since: datetime
    last_failed: datetime | None
    last_sent: datetime | None

    @property
    def works_again(self) -> bool:
        return bool(not self.put_off and self.last_failed and self.last_sent and self.last_sent > self.last_failed)


@dataclass(frozen=True)
class Health:
    days: list[Day]
    waiting: Waiting
    sent_lately: int
    failed_lately: int
    addresses: list[FailingAddress]  # the ones that fail now and the latest failures first
    more_addresses: int  # further ones that fail now

    @property
    def has_history(self) -> bool:
        return any(day.sent or day.waiting or day.cancelled or day.failed or day.not_emailed for day in self.days)

    @property
    def oldest(self) -> str:
        """The age of the oldest waiting e-mail in words; "" if none waits."""
        return "" if self.waiting.oldest is None else elapsed_in_words(self.waiting.oldest)

    @property
    def failing(self) -> int:
        return sum(not address.works_again for address in self.addresses) + self.more_addresses

    @property
    def is_held_up(self) -> bool:
        ages = (self.waiting.oldest_held_up, self.waiting.oldest_message)
        return any(age is not None and age >= HELD_UP_AFTER for age in ages)

    @property
    def is_well(self) -> bool:
        return not self.failing and not self.is_held_up

    @property
    def sentences(self) -> list[str]:
        """A summary in words."""
        problems = [self._messages(), self._held_up(), self._on_their_way(), self._failing()]
        no_problems = (
            _("No problems with e-mail delivery.")
            if self.has_history
            else _("No e-mails were due in the last 14 days.")
        )
        return [sentence for sentence in problems if sentence] or [no_problems]

    def _messages(self) -> str:
        count, age = self.waiting.messages, self.waiting.oldest_message
        if age is None or age < HELD_UP_AFTER:
            return ""
        return ngettext(
            "%(count)s message has been waiting to be e-mailed for %(age)s. The service that sends e-mails may have "
            "stopped. Tell the operator of IPPEX Cloud Messenger.",
            "%(count)s messages are waiting to be e-mailed, the oldest for %(age)s. The service that sends e-mails may "
            "have stopped. Tell the operator of IPPEX Cloud Messenger.",
            count,
        ) % {"count": number_format(count), "age": elapsed_in_words(age)}

    def _held_up(self) -> str:
        count, age = self.waiting.held_up, self.waiting.oldest_held_up
        if age is None or age < HELD_UP_AFTER:
            return ""
        return ngettext(
            "%(count)s e-mail has been waiting for %(age)s. The mail server may be unreachable.",
            "%(count)s e-mails are waiting, the oldest for %(age)s. The mail server may be unreachable.",
            count,
        ) % {"count": number_format(count), "age": elapsed_in_words(age)}

    def _on_their_way(self) -> str:
        if self.is_held_up or not (self.waiting.held_up or self.waiting.messages):
            return ""
        return _("E-mails are on their way.")

    def _failing(self) -> str:
        if not self.failing:
            return ""
        return ngettext("%(count)s address is failing.", "%(count)s addresses are failing.", self.failing) % {
            "count": number_format(self.failing)
        }


def health_of(tenancy: Tenancy, now: datetime) -> Health:
    """The report on the last 14 days, today included; days begin at midnight in the active time zone."""
    today = timezone.localdate(now)
    first = today - timedelta(days=DAYS - 1)
    since = timezone.make_aware(datetime.combine(first, time.min))
    settled = Delivery.objects.filter(tenancy=tenancy, settled_at__gte=since)
    waiting = Delivery.objects.filter(tenancy=tenancy, state=State.WAITING)
    lately = settled.filter(settled_at__gte=now - LATELY).aggregate(
        sent=Count("pk", filter=Q(state=State.SENT)), failed=Count("pk", filter=Q(state=State.FAILED))
    )
    addresses = _failing_addresses(settled, waiting)
    return Health(
        days=_days(tenancy, first, since, settled, waiting),
        waiting=_waiting(tenancy, waiting, now),
        sent_lately=lately["sent"],
        failed_lately=lately["failed"],
        addresses=addresses[:MAX_ADDRESSES],
        more_addresses=sum(not address.works_again for address in addresses[MAX_ADDRESSES:]),
    )


def _days(
    tenancy: Tenancy, first: date, since: datetime, settled: QuerySet[Delivery], waiting: QuerySet[Delivery]
) -> list[Day]:
    not_emailed = Message.objects.filter(tenancy=tenancy, posted_at__gte=since, outcome=Message.Outcome.NO_EMAIL)
    # Only a mail that was due has a next attempt, in any state; the other rows record why none was due.
    due = settled.filter(next_attempt_at__isnull=False)
    counts = {
        "sent": _by_day(due.filter(state=State.SENT), "settled_at"),
        "waiting": _by_day(waiting.filter(message__posted_at__gte=since), "message__posted_at"),
        "cancelled": _by_day(due.filter(state=State.NOT_SENT), "settled_at"),
        "failed": _by_day(due.filter(state=State.FAILED), "settled_at"),
        "not_emailed": _by_day(not_emailed, "posted_at"),
    }
    dates = [first + timedelta(days=number) for number in range(DAYS)]
    return [Day(day, **{name: by_day.get(day, 0) for name, by_day in counts.items()}) for day in dates]


def _by_day(rows: QuerySet[Any], moment: str) -> dict[date, int]:
    return dict(rows.order_by().values_list(TruncDate(moment)).annotate(Count("pk")))


def _waiting(tenancy: Tenancy, waiting: QuerySet[Delivery], now: datetime) -> Waiting:
    untried = Q(attempts=0)
    emails = waiting.aggregate(
        all=Count("pk"),
        held_up=Count("pk", filter=untried),
        oldest=Min("message__posted_at"),
        oldest_held_up=Min("message__posted_at", filter=untried),
    )
    not_fanned_out = Message.objects.filter(tenancy=tenancy, outcome=Message.Outcome.EMAIL, fanned_out_at=None)
    messages = not_fanned_out.aggregate(all=Count("pk"), oldest=Min("posted_at"))

    def age(*moments: datetime | None) -> timedelta | None:
        oldest = min((moment for moment in moments if moment), default=None)
        return max(now - oldest, timedelta(0)) if oldest else None

    return Waiting(
        emails=emails["all"],
        held_up=emails["held_up"],
        messages=messages["all"],
        oldest=age(emails["oldest"], messages["oldest"]),
        oldest_held_up=age(emails["oldest_held_up"]),
        oldest_message=age(messages["oldest"]),
    )


def _failing_addresses(settled: QuerySet[Delivery], waiting: QuerySet[Delivery]) -> list[FailingAddress]:
    """The members with e-mails that failed or were put off, ordered: failing now, to be tried again, latest failure."""
    failed, put_off = settled.filter(state=State.FAILED), waiting.filter(attempts__gt=0)
    failures = _by_member(failed, Count("pk"), Min("settled_at"), Max("settled_at"))
    retries = _by_member(put_off, Count("pk"), Min("message__posted_at"))
    pks = failures.keys() | retries.keys()
    last_sent = _by_member(settled.filter(state=State.SENT, member__in=pks), Max("settled_at"))
    answers = _last_answers(failed, "settled_at") | _last_answers(put_off, "next_attempt_at")
    addresses = []
    for member in Member.objects.filter(pk__in=pks).select_related("user").by_name():
        failed_count, first_failed, last_failed = failures.get(member.pk, (0, None, None))
        put_off_count, first_posted = retries.get(member.pk, (0, None))
        addresses.append(
            FailingAddress(
                member,
                answer=answers.get(member.pk, ""),
                failed=failed_count,
                put_off=put_off_count,
                since=min(moment for moment in (first_failed, first_posted) if moment),
                last_failed=last_failed,
                last_sent=last_sent.get(member.pk, (None,))[0],
            )
        )
    return sorted(addresses, key=_urgency, reverse=True)


def _by_member(deliveries: QuerySet[Delivery], *figures: Aggregate) -> dict[int, tuple[Any, ...]]:
    rows = deliveries.order_by().values_list("member").annotate(*figures)
    return {row[0]: row[1:] for row in rows}


def _last_answers(deliveries: QuerySet[Delivery], moment: str) -> dict[int, str]:
    return dict(deliveries.order_by("member", f"-{moment}").distinct("member").values_list("member", "last_error"))


def _urgency(address: FailingAddress) -> tuple[bool, bool, datetime]:
    return not address.works_again, address.put_off > 0, address.last_failed or address.since
