"""A hit as the page shows it: where the message was posted, and a plain text excerpt around the words found.

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

from common.clock_times import offset_if_repeated
from messenger.markup.plain_text import plain_text
from messenger.web.links import thread_url

EXCERPT_LENGTH, EXCERPT_LEAD = 260, 60  # characters in all, and before the first word found
# Hits with longer texts are rendered each time: a thousand of them would fill the memory of the process.
MAX_CACHED_LENGTH = 2_000  # characters
# Around each word found in `marked`. The statement removes them from the body first, so none comes from a message.
START, STOP = "\ue000", "\ue001"
_EDGE = re.compile(f"({START}|{STOP})")
# What search takes for a part of a word: `_` joins words.
_LETTER = re.compile(r"[^\W_]")
_BEGINNING, _INSIDE, _END = r"(?<![^\W_])", "", r"(?![^\W_])"


class Hit(NamedTuple):
    pk: int
    sequence: int
    topic_id: int
    topic: str
    group: str
    author: str
    posted_at: datetime
    body: str
    body_html: str
    marked: str  # the body with START and STOP around the words found; joiners are spaces

    @property
    def excerpt(self) -> SafeString:
        return excerpt(plain_text(self.body_html), words_found(self.body, self.marked))


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
    moment = _moment(posted_at.replace(second=0, microsecond=0), language) + offset_if_repeated(posted_at)
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


def words_found(body: str, marked: str) -> re.Pattern[str] | None:
    """What matches the words found in the text of a message, as they are spelled in its `marked` body; None: none.

    A word matches only where it begins and ends as it does in the body: as a whole, or within a longer one.
    """
    if len(marked.replace(START, "").replace(STOP, "")) != len(body):
        return None
    words = {
        (_INSIDE if start and _LETTER.match(body, start - 1) else _BEGINNING)
        + re.escape(body[start:end])
        + (_INSIDE if _LETTER.match(body, end) else _END)
        for start, end in _spans(marked)
    }
    return re.compile("|".join(sorted(words, key=len, reverse=True))) if words else None


def excerpt(text: str, words: re.Pattern[str] | None) -> SafeString:
    """The part of a text around the first of the `words`, escaped, with each of them in <mark>."""
    spans = [found.span() for found in words.finditer(text)] if words else []
    start = max(0, spans[0][0] - EXCERPT_LEAD) if spans else 0
    if start:  # back to the beginning of a word
        start = max(text.rfind(" ", 0, start + 1), start - 40) + 1
    end = start + EXCERPT_LENGTH
    parts, position = ["… " if start else ""], start
    for first, last in spans:
        if first >= end:
            break
        parts += [escape(text[position:first]), "<mark>", escape(text[first:last]), "</mark>"]
        position = last
    parts += [escape(text[position : max(end, position)]), " …" if end < len(text) else ""]
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
