"""Renders messages. Every path uses `render_rows`: the page, older messages, live updates.

The HTML is built by string formatting, not by a template in a loop: fifty rows take a fraction of a millisecond this
way and several milliseconds the other (docs/decisions/0005-rows-without-templates.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from django.db.models import Case, Count, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import JSONObject
from django.utils import timezone
from django.utils.formats import date_format, time_format
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from common.clock_times import offset_if_repeated
from common.templatetags.interface import initials
from messenger.access import MessageQuerySet
from messenger.markup.mentions import mentioned_in, shown_to
from messenger.models import Delivery, Message
from messenger.notifications.explanations.wording import NOTHING_MISSING, Missing, outcome_in_words, removal_in_words
from messenger.web.links import thread_url
from tenancy.models import Member

# A message that follows another by the same author within this time is grouped with it, under one name.
GROUPING_TIME = timedelta(minutes=10)
DISC_COLOURS = 8
# “⋯” as an entity: a single character beyond Latin-1 doubles the memory of the whole string, and of the page's.
MORE = "&#8943;"
# Longer messages are rendered each time: hundreds of the longest would use up the memory of a process.
LONGEST_CACHED = 5_000  # characters of HTML
# Stands for all readers who neither wrote nor are mentioned in the messages. No member has this id.
SHARED = 0


class Preceding(Protocol):
    """What a message needs to know about the one above it: whether a new day or another author starts."""

    @property
    def author_id(self) -> int: ...

    @property
    def posted_at(self) -> datetime: ...


class MessageRow(NamedTuple):
    """The columns that a message is rendered from."""

    sequence: int
    author_id: int
    author_name: str
    body_html: str
    posted_at: datetime
    outcome: str
    reason: str
    interval_minutes: int
    elapsed: timedelta | None
    addressees: int | None
    revision: int
    edited_at: datetime | None
    removed_at: datetime | None
    removed_by: int | None
    remover: str | None
    removal_reason: str
    missing: dict[str, int] | None  # see wording.Missing

    @classmethod
    def of_new(cls, message: Message) -> "MessageRow":
        """For a message that was just posted: its e-mails, if any, are about to be sent."""
        return cls(
            sequence=message.sequence,
            author_id=message.author_id,
            author_name=message.author.name,
            body_html=message.body_html,
            posted_at=message.posted_at,
            outcome=message.outcome,
            reason=message.reason,
            interval_minutes=message.interval_minutes,
            elapsed=message.elapsed,
            addressees=None,
            revision=message.revision,
            edited_at=None,
            removed_at=None,
            removed_by=None,
            remover=None,
            removal_reason="",
            missing=None,
        )

    @property
    def is_settled(self) -> bool:
        """Whether every visible change from now on raises the revision. Sending pending e-mails does not."""
        is_fanned_out = self.addressees is not None or self.outcome != Message.Outcome.EMAIL
        return is_fanned_out and not (self.missing and self.missing["waiting"])


_NAMES = {"author_id": "author", "author_name": "author__name", "remover": "removed_by__name"}
COLUMNS = [_NAMES.get(field, field) for field in MessageRow._fields]


def with_missing(messages: MessageQuerySet) -> MessageQuerySet:
    """Annotate e-mailed messages with `missing`: how many of their e-mails are `waiting`, `failed` or `cancelled`."""
    missing = (
        Delivery.objects.filter(message=OuterRef("pk"), next_attempt_at__isnull=False)
        .exclude(state=Delivery.State.SENT)
        .order_by()
        .values("message")
        .annotate(
            counts=JSONObject(
                waiting=Count("pk", filter=Q(state=Delivery.State.WAITING)),
                failed=Count("pk", filter=Q(state=Delivery.State.FAILED)),
                cancelled=Count("pk", filter=Q(state=Delivery.State.NOT_SENT)),
            )
        )
    )
    return messages.annotate(
        missing=Case(When(outcome=Message.Outcome.EMAIL, then=Subquery(missing.values("counts"))), default=None)
    )


def columns_of(messages: MessageQuerySet) -> QuerySet[Message, tuple[Any, ...]]:
    """The values of a `MessageRow`, in the order of its fields."""
    return with_missing(messages).values_list(*COLUMNS)


def fetch_rows(messages: MessageQuerySet, limit: int | None = None) -> list[MessageRow]:
    """The first `limit` rows, or all, in the order of the queryset."""
    return [MessageRow._make(values) for values in columns_of(messages)[:limit]]


@dataclass(frozen=True)
class Reader:
    """The member for whom messages are rendered, and the URL of the thread that their links start with."""

    pk: int
    thread_url: str

    @classmethod
    def of(cls, member: Member, topic_pk: int) -> "Reader":
        return cls.at(member.tenancy.slug, topic_pk, member.pk)

    @classmethod
    def at(cls, slug: str, topic_pk: int, member_pk: int) -> "Reader":
        return cls(member_pk, thread_url(slug, topic_pk))


def personalised_for(rows: Iterable[MessageRow]) -> set[int]:
    """Ids of the members to whom these rows look different: their authors, and whoever is mentioned."""
    return {row.author_id for row in rows}.union(*(mentioned_in(row.body_html) for row in rows))


def render_rows(
    rows: Iterable[MessageRow], previous: Preceding | None, reader: Reader, first_unread: int = 0
) -> SafeString:
    """The HTML of consecutive messages, oldest first, in the active language and time zone.

    `previous` is the message above the first one and decides whether a new day or another author starts. If it is
    None, the first message has its day and author displayed. The message with the sequence number `first_unread`
    gets a divider above it.
    """
    zone = timezone.get_current_timezone()
    parts = []
    for row in rows:
        parts.append(_render(row, previous, zone, reader, is_first_unread=row.sequence == first_unread))
        previous = row
    return mark_safe("".join(parts))  # noqa: S308  (escaped or sanitised piece by piece)


def _render(row: MessageRow, previous: Preceding | None, zone: tzinfo, reader: Reader, *, is_first_unread: bool) -> str:
    language = get_language() or ""
    day = row.posted_at.astimezone(zone).date()
    starts_day = previous is None or previous.posted_at.astimezone(zone).date() != day
    continues = (
        previous is not None
        and not starts_day
        and previous.author_id == row.author_id
        and row.posted_at - previous.posted_at < GROUPING_TIME
    )
    divider = f'<li class="day" data-day="{day}"><span>{_day(day, language)}</span></li>' if starts_day else ""
    if is_first_unread:
        divider += f'<li class="new-line" id="new"><span>{escape(_("New"))}</span></li>'
    # The number of missing e-mails changes with each of them: not worth caching.
    is_cacheable = row.missing is None and len(row.body_html) <= LONGEST_CACHED
    message = _message if is_cacheable else _message.__wrapped__
    classes = "message" + (" message-continued" if continues else "") + " message-own" * (row.author_id == reader.pk)
    return divider + shown_to(reader.pk, message(row, classes, reader.thread_url, zone, language))


@lru_cache(maxsize=500)  # 1.5 MiB per thousand
def _message(row: MessageRow, classes: str, thread_url: str, zone: tzinfo, language: str) -> str:
    """One message in this zone and language, before mentions are personalised: most readers share the same HTML."""
    posted_at = row.posted_at.astimezone(zone)
    clock = _clock(posted_at.hour, posted_at.minute, language) + offset_if_repeated(posted_at)
    name, disc = escape(row.author_name), escape(initials(row.author_name))
    url = f"{thread_url}messages/{row.sequence}/"
    return (
        f'<li class="{classes}" id="message-{row.sequence}" data-sequence="{row.sequence}" '
        f'data-revision="{row.revision}">'
        f'<span class="disc disc-{row.author_id % DISC_COLOURS}" aria-hidden="true">{disc}</span>'
        f'<article class="message-main" tabindex="-1"><header class="message-head">'
        f'<bdi class="message-author">{name}</bdi> '
        f'<a class="message-time" href="{thread_url}?at={row.sequence}#message-{row.sequence}">'
        f'<time datetime="{row.posted_at:%Y-%m-%dT%H:%M:%SZ}" '
        f'title="{_day(posted_at.date(), language)}, {clock} ({escape(str(zone))})">{clock}</time></a>'
        f"{_edited(row, url)} "
        f'<a class="message-more" href="{url}" data-message-menu aria-label="{_more_label(language)}">'
        f"{MORE}</a></header>{_body(row)}"
        f'<p class="message-outcome outcome-{"removed" if row.removed_at else row.outcome}">'
        f'<a href="{url}record/" data-record>{escape(outcome_of(row))}</a></p></article></li>'
    )


def _body(row: MessageRow) -> str:
    if row.removed_at is None:
        return f'<div class="message-body" dir="auto">{row.body_html}</div>'
    words = removal_in_words(row.author_id, row.removed_by or 0, row.remover or "", row.removal_reason)
    return f'<p class="message-removed" dir="auto">{escape(words)}</p>'


def _edited(row: MessageRow, url: str) -> str:
    if row.edited_at is None or row.removed_at is not None:
        return ""
    return f' <a class="message-edited" href="{url}history/" data-record>{escape(_("edited"))}</a>'


@lru_cache(maxsize=16)
def _more_label(language: str) -> str:
    return str(escape(_("Message actions")))


def outcome_of(row: MessageRow) -> str:
    """One line on the e-mails of a message: how many were sent, or why none."""
    missing = Missing(**row.missing) if row.missing else NOTHING_MISSING
    return outcome_in_words(row.reason, row.interval_minutes, row.elapsed, row.addressees, missing)


@lru_cache(maxsize=4096)
def _day(day: date, language: str) -> str:
    return str(escape(f"{date_format(day, 'l')}, {date_format(day, 'DATE_FORMAT')}"))


@lru_cache(maxsize=4096)
def _clock(hour: int, minute: int, language: str) -> str:
    return str(escape(time_format(datetime(2000, 1, 1, hour, minute), "TIME_FORMAT")))  # noqa: DTZ001  (a clock face)
