"""The messages of a topic, page by page, by sequence: no OFFSET, no COUNT."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import get_current_timezone
from django.utils.translation import get_language

from common.caching.local_cache import LocalCache
from common.database.prepared import Prepared
from messenger.messages.rendering import (
    SHARED,
    MessageRow,
    Preceding,
    Reader,
    columns_of,
    personalised_for,
    render_rows,
)
from messenger.models import Message, Topic
from tenancy.models import Member

PAGE_LENGTH = 50
# What was read already, above the message that a page is opened at.
CONTEXT = 10

BEFORE = Prepared(
    "messages_before",
    lambda topic, sequence: columns_of(Message.objects.filter(topic=topic).before(sequence).newest_first())[
        :PAGE_LENGTH
    ],
    "bigint",
    "bigint",
)
# One more than a page: `after` says what for.
AFTER = Prepared(
    "messages_after",
    lambda topic, sequence: columns_of(Message.objects.filter(topic=topic).after(sequence).oldest_first())[
        : PAGE_LENGTH + 1
    ],
    "bigint",
    "bigint",
)
AT = Prepared(
    "messages_at",
    lambda topic, sequences: columns_of(Message.objects.filter(topic=topic, sequence__one_of=sequences)),
    "bigint",
    "bigint[]",
)


def _changed(topic: int, since: int, first: int) -> QuerySet[Message, tuple[Any, ...]]:
    found = Message.objects.filter(topic=topic, revision__gt=since, sequence__gte=first).order_by("revision")
    # Chosen before anything is joined to them, or it would be joined to all. One more than a page: the caller may
    # want to know whether that was all.
    return columns_of(Message.objects.filter(pk__in=found.values("pk")[: PAGE_LENGTH + 1]).order_by("revision"))


CHANGED = Prepared("messages_changed", _changed, "bigint", "bigint", "bigint")


@dataclass(frozen=True)
class Page:
    """Consecutive messages of a topic, rendered for one reader."""

    html: bytes  # encoded once: what is kept is sent as it is
    first: int  # sequence numbers; 0 where the page is empty
    last: int
    last_of_topic: int

    @property
    def is_empty(self) -> bool:
        return not self.last_of_topic

    @property
    def has_older(self) -> bool:
        return self.first > 1

    @property
    def has_newer(self) -> bool:
        return 0 < self.last < self.last_of_topic


def opening(topic: Topic, reader: Member, read_up_to: int) -> Page:
    """The page that a thread opens with: where the reader stopped, or the newest messages."""
    first_unread = read_up_to + 1 if read_up_to < topic.last_sequence else 0
    if first_unread and topic.last_sequence - read_up_to > PAGE_LENGTH - CONTEXT:
        return around(topic, first_unread, reader, first_unread)
    return before(topic, topic.last_sequence + 1, reader, first_unread)


def latest(topic: Topic, reader: Member) -> Page:
    """The newest messages."""
    return before(topic, topic.last_sequence + 1, reader)


def around(topic: Topic, sequence: int, reader: Member, first_unread: int = 0) -> Page:
    """The page on which a message is, with a little of what stands above it."""
    return after(topic, max(sequence - CONTEXT - 1, 0), reader, first_unread)


def before(topic: Topic, sequence: int, reader: Member, first_unread: int = 0) -> Page:
    """The messages before one, the nearest ones."""

    def fetch() -> Fetched:
        return [MessageRow._make(values) for values in reversed(BEFORE(topic.pk, sequence))], None

    return _page(topic, reader, fetch, ("before", sequence, first_unread))


def after(topic: Topic, sequence: int, reader: Member, first_unread: int = 0) -> Page:
    """The messages after one, the nearest ones."""

    def fetch() -> Fetched:
        # The one that the reader has already comes along: it decides whether a day begins.
        rows = [MessageRow._make(values) for values in AFTER(topic.pk, sequence - 1)]
        if rows and rows[0].sequence <= sequence:
            return rows[1:], rows[0]
        return rows[:PAGE_LENGTH], None

    return _page(topic, reader, fetch, ("after", sequence, first_unread))


def new(message: Message, previous: Preceding | None, reader: Member) -> bytes:
    """A message that was posted just now, as it stands below the one before it; nothing is asked for it."""
    return render_rows([MessageRow.of_new(message)], previous, Reader.of(reader, message.topic_id)).encode()


@dataclass(frozen=True)
class Changes:
    """Messages that are not consecutive: each is rendered as it stands below the message before it."""

    rows: list[MessageRow]
    above: dict[int, MessageRow]  # by sequence number

    @property
    def concerned(self) -> set[int]:
        return personalised_for(self.rows)

    @property
    def is_more_than_a_page(self) -> bool:
        return len(self.rows) > PAGE_LENGTH

    def first_page(self) -> "Changes":
        return replace(self, rows=self.rows[:PAGE_LENGTH])

    def html(self, reader: Reader) -> SafeString:
        return mark_safe(  # noqa: S308  (each is escaped or sanitised)
            "".join(render_rows([row], self.above.get(row.sequence - 1), reader) for row in self.rows)
        )


def changes(topic_pk: int, since: int, first: int = 0) -> Changes:
    """What is new, edited, removed or said otherwise since a revision, from one sequence number on.

    The oldest changes first; one more than a page where there are more than that.
    """
    rows = [MessageRow._make(values) for values in CHANGED(topic_pk, since, first)]
    above = [row.sequence - 1 for row in rows]
    return Changes(rows, {row.sequence: row for row in map(MessageRow._make, AT(topic_pk, above))} if rows else {})


def changed(topic: Topic, since: int, first: int, reader: Member) -> SafeString:
    """At most a page of what changed since a revision, from one sequence number on, for a reader."""
    return changes(topic.pk, since, first).first_page().html(Reader.of(reader, topic.pk))


Fetched = tuple[list[MessageRow], MessageRow | None]  # the rows of a page, and the one above them

# By all that a page depends on: what it shows of its topic raises the topic's revision, names that of the tenancy.
_pages: LocalCache[Page] = LocalCache(32_000_000)  # bytes; a page of fifty messages has some 20,000
_concerned: LocalCache[set[int]] = LocalCache(5_000)


def _page(topic: Topic, reader: Member, fetch: Callable[[], Fetched], where: tuple[str, int, int]) -> Page:
    """Nearly everybody sees the same, which is made once; who wrote there or is mentioned sees a page of their own."""
    shown = (topic.pk, topic.revision, reader.tenancy.names_revision, get_language(), get_current_timezone(), where)
    concerned = _concerned.get(shown)
    if concerned is not None:
        page = _pages.get((shown, reader.pk if reader.pk in concerned else SHARED))
        if page is not None:
            return page
    rows, above = fetch()
    page = Page(
        html=render_rows(rows, above, Reader.of(reader, topic.pk), where[-1]).encode(),
        first=rows[0].sequence if rows else 0,
        last=rows[-1].sequence if rows else 0,
        last_of_topic=topic.last_sequence,
    )
    is_asked_once = above is not None and len(rows) < PAGE_LENGTH  # what came after what somebody has already
    # What is not committed is kept for nobody, and what is on its way to people changes without a word.
    if not is_asked_once and not connection.in_atomic_block and all(row.is_settled for row in rows):
        concerned = personalised_for(rows)
        _concerned.put(shown, concerned)
        _pages.put((shown, reader.pk if reader.pk in concerned else SHARED), page, len(page.html))
    return page
