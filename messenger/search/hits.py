"""A message that a search has found, as the page shows it: where it was said, and the part around the words.

String building over columns, as the rows of a thread are (messenger/messages/rendering.py).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from messenger.web.links import thread_url

EXCERPT_LENGTH, EXCERPT_LEAD = 260, 60  # characters of it, and of them before the first word found
LONGEST_KEPT = 2_000  # characters of a message
# Around the words found in `marked`; taken out of texts beforehand, so that nobody writes them.
START, STOP = "\ue000", "\ue001"
_EDGE = re.compile(f"({START}|{STOP})")


class Hit(NamedTuple):
    pk: int
    sequence: int
    topic_id: int
    topic: str
    group: str
    author: str
    posted_at: datetime
    body: str
    marked: str  # the body with marks put in, and else as long as it

    @property
    def excerpt(self) -> SafeString:
        return excerpt(self.body, self.marked)


_NAMES = {"topic_id": "topic", "topic": "topic__name", "group": "topic__group__name", "author": "author__name"}
COLUMNS = [_NAMES.get(field, field) for field in Hit._fields]


def render_hits(hits: Iterable[Hit], slug: str) -> SafeString:
    """The items of their list, in the active language and time zone; `slug` is the tenancy's."""
    zone, language = timezone.get_current_timezone(), get_language() or ""
    return mark_safe("".join(_kept(hit)(hit, slug, zone, language) for hit in hits))  # noqa: S308  (escaped piece by piece)


def _kept(hit: Hit) -> Callable[[Hit, str, tzinfo, str], str]:
    """How it is rendered: long texts each time, which by the thousand would fill a process."""
    return _render if len(hit.body) <= LONGEST_KEPT else _render.__wrapped__


@lru_cache(maxsize=1_000)
def _render(hit: Hit, slug: str, zone: tzinfo, language: str) -> str:
    posted_at = hit.posted_at.astimezone(zone)
    moment = _moment(posted_at.replace(second=0, microsecond=0), language)
    place = f"{thread_url(slug, hit.topic_id)}?at={hit.sequence}#message-{hit.sequence}"
    return (
        f'<li class="hit"><h2 class="hit-topic"><a href="{place}">{escape(hit.topic)}</a></h2> '
        f'<p class="hit-where"><b>{escape(hit.author)}</b> · '
        f'<time datetime="{posted_at.isoformat()}">{moment}</time>'
        f' · {escape(hit.group)}</p> <p class="hit-text" dir="auto">{hit.excerpt}</p></li>'
    )


@lru_cache(maxsize=4096)
def _moment(minute: datetime, language: str) -> str:
    return str(escape(date_format(minute, "DATETIME_FORMAT")))


def excerpt(body: str, marked: str) -> SafeString:
    """The part of a text around the first word found, escaped, each word found in <mark>."""
    spans = list(_spans(marked)) if len(marked.replace(START, "").replace(STOP, "")) == len(body) else []
    start = max(0, spans[0][0] - EXCERPT_LEAD) if spans else 0
    if start:  # at the beginning of a word
        start = max(body.rfind(" ", 0, start + 1), body.rfind("\n", 0, start + 1), start - 40) + 1
    end = start + EXCERPT_LENGTH
    parts, position = ["… " if start else ""], start
    for first, last in spans:
        if first >= end:
            break
        parts += [escape(body[position:first]), "<mark>", escape(body[first:last]), "</mark>"]
        position = last
    parts += [escape(body[position : max(end, position)]), " …" if end < len(body) else ""]
    return mark_safe("".join(parts))  # noqa: S308  (escaped piece by piece)


def _spans(marked: str) -> Iterator[tuple[int, int]]:
    """From where to where each word found stands in the text without the marks."""
    position = start = 0
    for piece in _EDGE.split(marked):
        if piece == START:
            start = position
        elif piece == STOP:
            yield start, position
        else:
            position += len(piece)
