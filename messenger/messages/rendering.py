"""One message on a page. Every path shows it through `render_rows`: the page, older ones, live ones.

Plain string building over columns, not a template in a loop: fifty rows cost a fraction of a
millisecond this way and several the other (docs/decisions/0005-rows-without-templates.md).
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

from common.templatetags.interface import initials
from messenger.access import MessageQuerySet
from messenger.markup.mentions import mentioned_in, shown_to
from messenger.models import Delivery, Message
from messenger.notifications.explanations.wording import NOTHING_MISSING, Missing, outcome_in_words, removal_in_words
from messenger.web.links import thread_url
from tenancy.models import Member

# Messages of one author within this time stand close together, under one name.
SAME_BREATH = timedelta(minutes=10)
DISC_COLOURS = 8
# “⋯” as an entity: one character beyond Latin-1 makes all of a text, the page's too, take two bytes each.
MORE = "&#8943;"
# What is longer is rendered each time: by the hundreds the longest texts would fill a process.
LONGEST_KEPT = 5_000  # characters of HTML
# In place of a member, for whoever has no part in what is shown: no member has this id.
SHARED = 0


class Preceding(Protocol):
    """What a message tells the one below it: whether a day or an author begins there."""

    @property
    def author_id(self) -> int: ...

    @property
    def posted_at(self) -> datetime: ...


class MessageRow(NamedTuple):
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
    missing: dict[str, int] | None  # as wording.Missing

    @classmethod
    def of_new(cls, message: Message) -> "MessageRow":
        """Of a message that was posted just now: its mails, where there are any, are about to go out."""
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
        """Whether all that is shown of it says so, when it changes, by a new revision; its mails go out in silence."""
        is_written = self.addressees is not None or self.outcome != Message.Outcome.EMAIL
        return is_written and not (self.missing and self.missing["waiting"])


_NAMES = {"author_id": "author", "author_name": "author__name", "remover": "removed_by__name"}
COLUMNS = [_NAMES.get(field, field) for field in MessageRow._fields]


def with_missing(messages: MessageQuerySet) -> MessageQuerySet:
    """Each e-mailed one with `missing`: how many of its mails are `waiting`, `failed` or `cancelled`."""
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
    """What a Row is made of."""
    return with_missing(messages).values_list(*COLUMNS)


def fetch_rows(messages: MessageQuerySet, limit: int | None = None) -> list[MessageRow]:
    """In the order of the queryset."""
    return [MessageRow._make(values) for values in columns_of(messages)[:limit]]


@dataclass(frozen=True)
class Reader:
    """For whom rows are rendered, and where what can be done with a message is."""

    pk: int
    thread_url: str

    @classmethod
    def of(cls, member: Member, topic_pk: int) -> "Reader":
        return cls.at(member.tenancy.slug, topic_pk, member.pk)

    @classmethod
    def at(cls, slug: str, topic_pk: int, member_pk: int) -> "Reader":
        return cls(member_pk, thread_url(slug, topic_pk))


def personalised_for(rows: Iterable[MessageRow]) -> set[int]:
    """Whose these rows are, and whom they mention: to them they look different."""
    return {row.author_id for row in rows}.union(*(mentioned_in(row.body_html) for row in rows))


def render_rows(
    rows: Iterable[MessageRow], previous: Preceding | None, reader: Reader, first_unread: int = 0
) -> SafeString:
    """The HTML of consecutive messages, oldest first, in the active language and time zone.

    `previous` is the message that stands above the first one: it decides whether a day or an author
    begins. None where nothing stands above it: the first one then says its day and author. Above the message
    with the sequence number `first_unread` stands the line that says so.
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
        and row.posted_at - previous.posted_at < SAME_BREATH
    )
    divider = f'<li class="day" data-day="{day}"><span>{_day(day, language)}</span></li>' if starts_day else ""
    if is_first_unread:
        divider += f'<li class="new-line" id="new"><span>{escape(_("New"))}</span></li>'
    # What says how many mails are missing changes with each of them, and is not worth keeping.
    is_kept = row.missing is None and len(row.body_html) <= LONGEST_KEPT
    message = _message if is_kept else _message.__wrapped__
    classes = "message" + (" message-continued" if continues else "") + " message-own" * (row.author_id == reader.pk)
    return divider + shown_to(reader.pk, message(row, classes, reader.thread_url, zone, language))


@lru_cache(maxsize=500)  # 1.5 MiB a thousand
def _message(row: MessageRow, classes: str, thread_url: str, zone: tzinfo, language: str) -> str:
    """One message, for whoever reads it in this zone and language: most readers of a busy thread see the same."""
    posted_at = row.posted_at.astimezone(zone)
    clock = _clock(posted_at.hour, posted_at.minute, language)
    name, disc = escape(row.author_name), escape(initials(row.author_name))
    url = f"{thread_url}messages/{row.sequence}/"
    return (
        f'<li class="{classes}" id="message-{row.sequence}" data-sequence="{row.sequence}" '
        f'data-revision="{row.revision}">'
        f'<span class="disc disc-{row.author_id % DISC_COLOURS}" aria-hidden="true">{disc}</span>'
        f'<article class="message-main" tabindex="-1"><header class="message-head">'
        f'<span class="message-author">{name}</span> '
        f'<a class="message-time" href="{thread_url}?at={row.sequence}#message-{row.sequence}">'
        f'<time datetime="{row.posted_at:%Y-%m-%dT%H:%M:%SZ}" '
        f'title="{_day(posted_at.date(), language)}, {clock} ({escape(str(zone))})">{clock}</time></a>'
        f"{_edited(row, url)} "
        f'<a class="message-more" href="{url}" data-message-menu aria-label="{_more(language)}">{MORE}</a></header>'
        f"{_body(row)}"
        f'<p class="message-outcome outcome-{row.outcome}">'
        f'<a href="{url}record/" data-record>{escape(outcome_of(row))}</a></p></article></li>'
    )


def _body(row: MessageRow) -> str:
    if row.removed_at is None:
        return f'<div class="message-body" dir="auto">{row.body_html}</div>'
    words = removal_in_words(row.author_id, row.removed_by or 0, row.remover or "", row.removal_reason)
    return f'<p class="message-removed">{escape(words)}</p>'


def _edited(row: MessageRow, url: str) -> str:
    if row.edited_at is None or row.removed_at is not None:
        return ""
    return f' <a class="message-edited" href="{url}history/" data-record>{escape(_("edited"))}</a>'


@lru_cache(maxsize=16)
def _more(language: str) -> str:
    return str(escape(_("More about this message")))


def outcome_of(row: MessageRow) -> str:
    """What the message did, in one line."""
    missing = Missing(**row.missing) if row.missing else NOTHING_MISSING
    return outcome_in_words(row.reason, row.interval_minutes, row.elapsed, row.addressees, missing)


@lru_cache(maxsize=4096)
def _day(day: date, language: str) -> str:
    return str(escape(f"{date_format(day, 'l')}, {date_format(day, 'DATE_FORMAT')}"))


@lru_cache(maxsize=4096)
def _clock(hour: int, minute: int, language: str) -> str:
    return str(escape(time_format(datetime(2000, 1, 1, hour, minute), "TIME_FORMAT")))  # noqa: DTZ001  (a clock face)
