"""The messages of a topic, page by page, by sequence: no OFFSET, no COUNT."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils.safestring import SafeString

from messenger.models import Topic
from messenger.rows import Row, fetch_rows, render_rows
from tenancy.models import Member

PAGE_LENGTH = 50


@dataclass(frozen=True)
class Page:
    """Consecutive messages of a topic, rendered for one reader."""

    html: SafeString
    first: int  # sequence numbers; 0 where the page is empty
    last: int
    last_of_topic: int

    @property
    def has_older(self) -> bool:
        return self.first > 1

    @property
    def has_newer(self) -> bool:
        return 0 < self.last < self.last_of_topic


def latest(topic: Topic, reader: Member) -> Page:
    """The page that a thread opens with."""
    return before(topic, topic.last_sequence + 1, reader)


def before(topic: Topic, sequence: int, reader: Member) -> Page:
    """The messages before one, the nearest ones."""
    rows = fetch_rows(topic.messages.before(sequence).newest_first(), PAGE_LENGTH)[::-1]
    return _page(topic, rows, None, reader)


def after(topic: Topic, sequence: int, reader: Member) -> Page:
    """The messages after one, the nearest ones."""
    # The one that the reader has already comes along: it decides whether a day begins.
    rows = fetch_rows(topic.messages.after(sequence - 1).oldest_first(), PAGE_LENGTH + 1)
    if rows and rows[0].sequence <= sequence:
        return _page(topic, rows[1:], rows[0], reader)
    return _page(topic, rows[:PAGE_LENGTH], None, reader)


def _page(topic: Topic, rows: list[Row], previous: Row | None, reader: Member) -> Page:
    messages_url = reverse("messenger:messages", args=[reader.tenancy.slug, topic.pk])
    return Page(
        html=render_rows(rows, previous, reader.pk, messages_url),
        first=rows[0].sequence if rows else 0,
        last=rows[-1].sequence if rows else 0,
        last_of_topic=topic.last_sequence,
    )
