"""One message on a page. Every path shows it through `render_rows`: the page, older ones, live ones.

Plain string building over columns, not a template in a loop: fifty rows cost a fraction of a
millisecond this way and several the other (docs/decisions/0005-rows-without-templates.md).
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from django.utils import timezone
from django.utils.formats import date_format, time_format
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from ippex_messenger.templatetags.interface import initials
from messenger.mentions import shown_to
from messenger.models import Message
from messenger.querysets import MessageQuerySet
from messenger.wording import NOTHING_MISSING, Missing, outcome_in_words

# Messages of one author within this time stand close together, under one name.
SAME_BREATH = timedelta(minutes=10)
DISC_COLOURS = 8


class Row(NamedTuple):
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
    missing: dict[str, int] | None  # as wording.Missing

    @property
    def is_on_its_way(self) -> bool:
        """Whether what is said about its mails will change by itself."""
        if self.outcome != Message.Outcome.EMAIL:
            return False
        return self.addressees is None or bool(self.missing and self.missing["waiting"])


COLUMNS = ("sequence", "author", "author__name", *Row._fields[3:])


def fetch_rows(messages: MessageQuerySet, limit: int | None = None) -> list[Row]:
    """The columns that a row needs, in the order of the queryset."""
    return [Row._make(values) for values in messages.with_missing().values_list(*COLUMNS)[:limit]]


def render_rows(rows: Iterable[Row], previous: Row | None, reader_id: int, messages_url: str) -> SafeString:
    """The HTML of consecutive messages, oldest first, in the active language and time zone.

    `previous` is the message that stands above the first one: it decides whether a day or an author
    begins. None where nothing stands above it: the first one then says its day and author.
    """
    zone = timezone.get_current_timezone()
    parts = []
    for row in rows:
        parts.append(_render(row, previous, zone, reader_id, messages_url))
        previous = row
    return mark_safe("".join(parts))  # noqa: S308  (escaped or sanitised piece by piece)


def _render(row: Row, previous: Row | None, zone: tzinfo, reader_id: int, messages_url: str) -> str:
    posted_at = row.posted_at.astimezone(zone)
    language = get_language() or ""
    day = _day(posted_at.date(), language)
    clock = _clock(posted_at.hour, posted_at.minute, language)
    starts_day = previous is None or previous.posted_at.astimezone(zone).date() != posted_at.date()
    continues = (
        previous is not None
        and not starts_day
        and previous.author_id == row.author_id
        and row.posted_at - previous.posted_at < SAME_BREATH
    )
    name, disc = escape(row.author_name), escape(initials(row.author_name))
    outcome = escape(outcome_of(row))
    on_its_way = " data-on-its-way" if row.is_on_its_way else ""
    divider = f'<li class="day" data-day="{posted_at:%Y-%m-%d}"><span>{day}</span></li>' if starts_day else ""
    classes = (
        "message" + (" message-continued" if continues else "") + (" message-own" if row.author_id == reader_id else "")
    )
    return (
        f'{divider}<li class="{classes}" id="message-{row.sequence}" data-sequence="{row.sequence}">'
        f'<span class="disc disc-{row.author_id % DISC_COLOURS}" aria-hidden="true">{disc}</span>'
        f'<article class="message-main"><header class="message-head"><span class="message-author">{name}</span> '
        f'<time class="message-time" datetime="{row.posted_at:%Y-%m-%dT%H:%M:%SZ}" '
        f'title="{day}, {clock} ({escape(str(zone))})">{clock}</time></header>'
        f'<div class="message-body" dir="auto">{shown_to(reader_id, row.body_html)}</div>'
        f'<p class="message-outcome outcome-{row.outcome}"{on_its_way}>'
        f'<a href="{messages_url}{row.sequence}/record/" data-record>{outcome}</a></p></article></li>'
    )


def outcome_of(row: Row) -> str:
    """What the message did, in one line."""
    missing = Missing(**row.missing) if row.missing else NOTHING_MISSING
    return outcome_in_words(row.reason, row.interval_minutes, row.elapsed, row.addressees, missing)


@lru_cache(maxsize=4096)
def _day(day: date, language: str) -> str:
    return str(escape(date_format(day, "l, j F Y" if language == "en-gb" else "l, F j, Y")))


@lru_cache(maxsize=4096)
def _clock(hour: int, minute: int, language: str) -> str:
    return str(escape(time_format(datetime(2000, 1, 1, hour, minute), "TIME_FORMAT")))  # noqa: DTZ001  (a clock face)
