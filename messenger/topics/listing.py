"""The topic list: its rows with group, last message and notification setting, and their HTML."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Count, F, FilteredRelation, Q, QuerySet
from django.db.models.functions import Left, Lower
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from common.caching.local_cache import LocalCache
from common.clock_times import moment_in_words
from common.database.prepared import Prepared
from common.folding import fold
from common.templatetags.interface import short_when
from messenger.access import TopicQuerySet, memberships_in_force
from messenger.markup.plain_text import plain_text
from messenger.models import Topic
from messenger.notifications.explanations.wording import notifications_in_words
from messenger.reading.annotations import unread_in_words, with_unread
from tenancy.models import Member

PAGE_LENGTH = 50
EXCERPT_LENGTH = 120
EXCERPT_SOURCE_LENGTH = 800  # characters of HTML, enough for an excerpt
# Queried for every request: who may see the topic, whether it changed, and what is specific to the reader.
COLUMNS = ("pk", "revision", "group", "is_mentioned", "is_muted", "unread")
CUT_OFF_TAG = re.compile(r"<[^>]*\Z")


class TopicSummary(NamedTuple):
    """What every reader sees of a topic. Cached until the topic's revision or a name in the tenancy changes."""

    name: str
    notifications_enabled: bool
    notification_interval: int
    last_activity_at: datetime
    author: str | None  # of the last message; None if there is none
    excerpt: str  # of the last message, as text
    removed_at: datetime | None  # the last message


_NAMES = {"author": "last__author__name", "removed_at": "last__removed_at"}
SUMMARY_COLUMNS = ["pk", "revision", *(_NAMES.get(field, field) for field in TopicSummary._fields)]


@dataclass(frozen=True, eq=False)
class TopicRow:
    """A topic as the list shows it to one reader.

    Equal rows are one cached object (`_make_row`), so rows are compared by identity.
    """

    pk: int
    summary: TopicSummary
    group: str
    notifications: str  # its settings, in words
    when: str  # of the last activity, as short as possible
    moment: str  # the same in full
    timestamp: str  # the same in ISO 8601
    is_muted: bool  # by the reader
    unread: str  # number of messages, as shown; empty if there are none
    is_mentioned: bool  # whether an unread message mentions the reader
    excerpt: str  # of the last message, or that it was removed
    # Cached by `render_topic_rows`, by all that its HTML depends on beside the row.
    html: dict[tuple[str, bool, bool], bytes] = field(default_factory=dict, repr=False)


def search(topics: TopicQuerySet, words: str, group_id: str) -> TopicQuerySet:
    """The topics whose name or group name contains `words`; of all groups if `group_id` is not a number."""
    if words:
        wanted = fold(words)
        topics = topics.filter(Q(folded_name__contains=wanted) | Q(group__folded_name__contains=wanted))
    if group_id.isascii() and group_id.isdigit() and len(group_id) <= 18:
        topics = topics.filter(group=int(group_id))
    return topics


def first_page(reader: Member, groups: list["ReadGroup"]) -> tuple[tuple[TopicRow, ...], bool]:
    """What `page_of` returns for page 1 of all active topics of `groups`, but by a prepared statement."""
    if len(groups) == 1:
        found = FIRST_PAGE_OF_GROUP(groups[0].pk, reader.pk)
    else:
        found = FIRST_PAGE(reader.tenancy_id, reader.pk, [group.pk for group in groups])
    return _page(found, groups, reader)


def page_of(
    topics: TopicQuerySet, groups: list["ReadGroup"], reader: Member, number: int
) -> tuple[tuple[TopicRow, ...], bool]:
    """The rows of page `number` (from 1), latest activity first, and whether another page follows. Nothing is counted.

    `groups` are those of the reader (`groups_of`); `topics` belong to them.
    """
    start = (number - 1) * PAGE_LENGTH
    return _page(list(_columns(topics, reader)[start : start + PAGE_LENGTH + 1]), groups, reader)


def _columns(topics: TopicQuerySet, reader: Member) -> QuerySet[Topic, tuple[Any, ...]]:
    return with_unread(topics, reader).latest_first().values_list(*COLUMNS)


FIRST_PAGE = Prepared(
    "first_topics",
    # The tenancy is redundant, but the index of the latest topics begins with it.
    lambda tenancy, member, groups: _columns(
        Topic.objects.active_in(groups).filter(tenancy=tenancy), Member(pk=member)
    )[: PAGE_LENGTH + 1],
    "bigint",
    "bigint",
    "bigint[]",
)
# Most people are in one group. Finding its topics among all of the tenancy gets slower the more there are.
FIRST_PAGE_OF_GROUP = Prepared(
    "first_topics_of_group",
    lambda group, member: _columns(Topic.objects.active_of(group), Member(pk=member))[: PAGE_LENGTH + 1],
    "bigint",
    "bigint",
)
SUMMARIES = Prepared(
    "shown_topics",
    lambda topics: (
        Topic.objects.filter(pk__one_of=topics)
        .annotate(
            last=FilteredRelation("messages", condition=Q(messages__sequence=F("last_sequence"))),
            excerpt=Left("last__body_html", EXCERPT_SOURCE_LENGTH),
        )
        .values_list(*SUMMARY_COLUMNS)
    ),
    "bigint[]",
)


GROUPS = Prepared(
    "groups_of_reader",
    lambda member: (
        memberships_in_force(Member(pk=member))
        .order_by(Lower("group__name"), "group")
        .values_list("group", "group__name")
    ),
    "bigint",
)
INACTIVE = Prepared(
    "inactive_topics",
    lambda groups: Topic.objects.inactive_in(groups).values("group").annotate(count=Count("*")).values_list("count"),
    "bigint[]",
)


class ReadGroup(NamedTuple):
    """A group whose topics the reader can read."""

    pk: int
    name: str


def groups_of(reader: Member) -> list[ReadGroup]:
    """The groups whose topics `reader` can read, by name."""
    return [ReadGroup._make(values) for values in GROUPS(reader.pk)]


def count_inactive(member: Member, groups: list[ReadGroup]) -> int:
    """How many inactive topics this member could reactivate: those of their groups, if they are a Messenger manager."""
    counts = INACTIVE([group.pk for group in groups]) if member.is_messenger_manager else []
    return sum(count for (count,) in counts)


# By topic, its revision, and the names revision of the tenancy.
_summaries: LocalCache[TopicSummary] = LocalCache(5_000)
# Rows by all that was queried and by its formatting. For a returning reader, mostly nothing has changed.
_pages: LocalCache[tuple[TopicRow, ...]] = LocalCache(2_500)


def _page(found: list[tuple[Any, ...]], groups: list[ReadGroup], reader: Member) -> tuple[tuple[TopicRow, ...], bool]:
    formatting = (timezone.get_current_timezone(), timezone.localdate(), get_language())
    key = (tuple(found), tuple(groups), reader.tenancy.names_revision, formatting)
    rows = _pages.get(key)
    if rows is None:
        group_names = dict(groups)
        summaries = _summaries_of(found[:PAGE_LENGTH], reader.tenancy.names_revision)
        rows = tuple(
            _make_row(
                pk,
                group_names[group],
                unread,
                is_mentioned,
                is_muted,
                summary,
                *formatting,
            )
            for pk, _revision, group, is_mentioned, is_muted, unread in found[:PAGE_LENGTH]
            # A group that the reader joined after `groups` was read appears with the next request.
            if group in group_names and (summary := summaries[pk])
        )
        if not connection.in_atomic_block:
            _pages.put(key, rows, len(rows))
    return rows, len(found) > PAGE_LENGTH


def clear_listing_cache() -> None:
    _summaries.clear()
    _pages.clear()


def _summaries_of(found: list[tuple[Any, ...]], names_revision: int) -> dict[int, TopicSummary | None]:
    summaries = {pk: _summaries.get((pk, revision, names_revision)) for pk, revision, *_reader in found}
    missing = [pk for pk, summary in summaries.items() if summary is None]
    for pk, revision, *values in SUMMARIES(missing) if missing else ():
        read = TopicSummary._make(values)
        summaries[pk] = summary = read._replace(excerpt=_excerpt_of(read.excerpt or ""))
        # By the revision that was read together with the summary: it may be later than the one in `found`.
        if not connection.in_atomic_block:
            _summaries.put((pk, revision, names_revision), summary)
    return summaries


@lru_cache(maxsize=2_500)
def _make_row(
    pk: int,
    group: str,
    unread: int,
    is_mentioned: bool,
    is_muted: bool,
    summary: TopicSummary,
    zone: tzinfo,
    today: date,
    language: str | None,
) -> TopicRow:
    """Format a row in the active zone and language. `today` and `language` only belong to the cache key."""
    at = summary.last_activity_at.astimezone(zone)
    return TopicRow(
        pk=pk,
        summary=summary,
        group=group,
        notifications=notifications_in_words(summary.notifications_enabled, summary.notification_interval),
        when=short_when(at),
        moment=moment_in_words(at),
        timestamp=at.isoformat(timespec="seconds"),
        is_muted=is_muted,
        unread=unread_in_words(unread) if unread else "",
        is_mentioned=is_mentioned,
        excerpt=_("Message removed") if summary.removed_at else summary.excerpt,
    )


def _excerpt_of(html: str) -> str:
    return Truncator(plain_text(CUT_OFF_TAG.sub("", html))).chars(EXCERPT_LENGTH)


def render_topic_rows(rows: Iterable[TopicRow], slug: str, *, manages: bool, shows_inactive: bool) -> bytes:
    """The encoded HTML of rows, in the language they were made in. `manages`: whether the reader may edit the topics.

    Each row is rendered once for all readers to whom it looks the same.
    """
    key = (slug, manages, shows_inactive)
    return b"".join([row.html.get(key) or _render_row(row, *key) for row in rows])


def _render_row(row: TopicRow, slug: str, manages: bool, shows_inactive: bool) -> bytes:
    context = {"topic": row, "slug": slug, "manages": manages, "shows_inactive": shows_inactive}
    html = render_to_string("messenger/topics/_topic.html", context).encode()
    row.html[slug, manages, shows_inactive] = html
    return html
