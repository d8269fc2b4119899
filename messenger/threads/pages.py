"""Pages of a topic's messages, addressed by sequence number: no OFFSET, no COUNT."""

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
# How many earlier messages precede the one at which a page opens.
CONTEXT = 10

BEFORE = Prepared(
    "messages_before",
    lambda topic, sequence: columns_of(Message.objects.filter(topic=topic).before(sequence).newest_first())[
        :PAGE_LENGTH
    ],
    "bigint",
    "bigint",
)
# One more than a page: `after` also fetches the message above it.
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
    # Limited in a subquery, before the joins, which would otherwise cover all of them. One more than a page tells the
    # caller whether there are more.
    return columns_of(Message.objects.filter(pk__in=found.values("pk")[: PAGE_LENGTH + 1]).order_by("revision"))


CHANGED = Prepared("messages_changed", _changed, "bigint", "bigint", "bigint")


@dataclass(frozen=True)
class Page:
    """Consecutive messages of a topic, rendered for one reader."""

    html: bytes  # encoded once: cached pages are sent as they are
    first: int  # sequence numbers; 0 if the page is empty
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
    """The page that a thread opens with: the newest messages, or those around the first unread one if it is older.

    `read_up_to` is the reader's position, a sequence number.
    """
    first_unread = read_up_to + 1 if read_up_to < topic.last_sequence else 0
    if first_unread and topic.last_sequence - read_up_to > PAGE_LENGTH - CONTEXT:
        return around(topic, first_unread, reader, first_unread)
    return before(topic, topic.last_sequence + 1, reader, first_unread)


def latest(topic: Topic, reader: Member) -> Page:
    """The newest messages."""
    return before(topic, topic.last_sequence + 1, reader)


def around(topic: Topic, sequence: int, reader: Member, first_unread: int = 0) -> Page:
    """The page that begins CONTEXT messages before the one with this sequence number."""
    return after(topic, max(sequence - CONTEXT - 1, 0), reader, first_unread)


def before(topic: Topic, sequence: int, reader: Member, first_unread: int = 0) -> Page:
    """The page of messages that ends just before this sequence number."""

    def fetch() -> Fetched:
        return [MessageRow._make(values) for values in reversed(BEFORE(topic.pk, sequence))], None

    return _page(topic, reader, fetch, ("before", sequence, first_unread))


def after(topic: Topic, sequence: int, reader: Member, first_unread: int = 0) -> Page:
    """The page of messages that starts just after this sequence number."""

    def fetch() -> Fetched:
        # The message at `sequence` is fetched as well: it decides whether the first row starts a new day.
        rows = [MessageRow._make(values) for values in AFTER(topic.pk, sequence - 1)]
        if rows and rows[0].sequence <= sequence:
            return rows[1:], rows[0]
        return rows[:PAGE_LENGTH], None

    return _page(topic, reader, fetch, ("after", sequence, first_unread))


def new(message: Message, previous: Preceding | None, reader: Member) -> bytes:
    """The HTML of a message that was just posted, below the `previous` one. No query is made."""
    return render_rows([MessageRow.of_new(message)], previous, Reader.of(reader, message.topic_id)).encode()


@dataclass(frozen=True)
class Changes:
    """Messages that need not be consecutive: each is rendered as it appears below the message before it."""

    rows: list[MessageRow]
    preceding: dict[int, MessageRow]  # by sequence number

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
            "".join(render_rows([row], self.preceding.get(row.sequence - 1), reader) for row in self.rows)
        )


def changes(topic_pk: int, since: int, first: int = 0) -> Changes:
    """Messages that were posted, edited or removed, or whose e-mails changed, since a revision.

    Only those from the sequence number `first` on. The oldest change comes first; if there is more than a page of
    them, one more than a page is returned.
    """
    rows = [MessageRow._make(values) for values in CHANGED(topic_pk, since, first)]
    preceding = [row.sequence - 1 for row in rows]
    return Changes(rows, {row.sequence: row for row in map(MessageRow._make, AT(topic_pk, preceding))} if rows else {})


def changed(topic: Topic, since: int, first: int, reader: Member) -> SafeString:
    """The HTML of at most a page of `changes`, for a reader."""
    return changes(topic.pk, since, first).first_page().html(Reader.of(reader, topic.pk))


Fetched = tuple[list[MessageRow], MessageRow | None]  # the rows of a page, and the row above them

# Cached by all that a page depends on. Visible changes of a topic raise its revision; renaming a member raises the
# names revision of the tenancy.
_pages: LocalCache[Page] = LocalCache(32_000_000)  # bytes; a page of fifty messages has about 20,000
_personalised: LocalCache[set[int]] = LocalCache(5_000)  # for each page, the members who get their own


def _page(topic: Topic, reader: Member, fetch: Callable[[], Fetched], position: tuple[str, int, int]) -> Page:
    """Most readers share one cached page. Authors and mentioned members get their own: their rows are highlighted.

    `position` identifies the page in its topic; its last number is that of the first unread message, or 0.
    """
    key = (topic.pk, topic.revision, reader.tenancy.names_revision, get_language(), get_current_timezone(), position)
    personalised = _personalised.get(key)
    if personalised is not None:
        page = _pages.get((key, reader.pk if reader.pk in personalised else SHARED))
        if page is not None:
            return page
    rows, preceding = fetch()
    page = Page(
        html=render_rows(rows, preceding, Reader.of(reader, topic.pk), position[-1]).encode(),
        first=rows[0].sequence if rows else 0,
        last=rows[-1].sequence if rows else 0,
        last_of_topic=topic.last_sequence,
    )
    is_requested_once = preceding is not None and len(rows) < PAGE_LENGTH  # the latest messages, for an open page
    # Uncommitted rows are not cached, nor are those with pending e-mails, whose progress does not raise the revision.
    if not is_requested_once and not connection.in_atomic_block and all(row.is_settled for row in rows):
        personalised = personalised_for(rows)
        _personalised.put(key, personalised)
        _pages.put((key, reader.pk if reader.pk in personalised else SHARED), page, len(page.html))
    return page
