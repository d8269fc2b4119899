"""A hit as the page shows it: where the message was posted, and an excerpt around the words found.

Built as strings from columns, like the messages of a thread (messenger/messages/rendering.py).
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

EXCERPT_LENGTH, EXCERPT_LEAD = 260, 60  # characters in all, and before the first word found
# Hits with longer texts are rendered each time: a thousand of them would fill the memory of the process.
MAX_CACHED_LENGTH = 2_000  # characters
# Around each word found in `marked`. The statement removes them from the body first, so none comes from a message.
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
    marked: str  # the body with START and STOP around the words found; joiners are spaces

    @property
    def excerpt(self) -> SafeString:
        return excerpt(self.body, self.marked)


_NAMES = {"topic_id": "topic", "topic": "topic__name", "group": "topic__group__name", "author": "author__name"}
COLUMNS = [_NAMES.get(field, field) for field in Hit._fields]


def render_hits(hits: Iterable[Hit], slug: str) -> SafeString:
    """The items of the list of hits, in the active language and time zone; `slug` is the tenancy's."""
    zone, language = timezone.get_current_timezone(), get_language() or ""
    return mark_safe("".join(_renderer(hit)(hit, slug, zone, language) for hit in hits))  # noqa: S308  (escaped piece by piece)


def _renderer(hit: Hit) -> Callable[[Hit, str, tzinfo, str], str]:
    """The cached renderer, or for long texts the one without a cache."""
    return _render if len(hit.body) <= MAX_CACHED_LENGTH else _render.__wrapped__


@lru_cache(maxsize=1_000)
def _render(hit: Hit, slug: str, zone: tzinfo, language: str) -> str:
    posted_at = hit.posted_at.astimezone(zone)
    moment = _moment(posted_at.replace(second=0, microsecond=0), language)
    url = f"{thread_url(slug, hit.topic_id)}?at={hit.sequence}#message-{hit.sequence}"
    return (
        f'<li class="hit"><h2 class="hit-topic"><a href="{url}" dir="auto">{escape(hit.topic)}</a></h2> '
        f'<p class="hit-where"><b><bdi>{escape(hit.author)}</bdi></b> · '
        f'<time datetime="{posted_at.isoformat()}">{moment}</time>'
        f' · <bdi>{escape(hit.group)}</bdi></p> <p class="hit-text" dir="auto">{hit.excerpt}</p></li>'
    )


@lru_cache(maxsize=4096)
def _moment(minute: datetime, language: str) -> str:
    return str(escape(date_format(minute, "DATETIME_FORMAT")))


def excerpt(body: str, marked: str) -> SafeString:
    """The part of a message around the first word found, escaped, with each word found in <mark>."""
    spans = list(_spans(marked)) if len(marked.replace(START, "").replace(STOP, "")) == len(body) else []
    start = max(0, spans[0][0] - EXCERPT_LEAD) if spans else 0
    if start:  # back to the beginning of a word
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
    """The start and end of each word found, as positions in the text without the markers."""
    position = start = 0
    for piece in _EDGE.split(marked):
        if piece == START:
            start = position
        elif piece == STOP:
            yield start, position
        else:
            position += len(piece)
