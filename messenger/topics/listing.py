"""What the topic list shows of each topic: its group, its last message, what it mails."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from functools import lru_cache
from html import unescape
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Count, F, FilteredRelation, Q, QuerySet
from django.db.models.functions import Left, Lower
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import strip_tags
from django.utils.text import Truncator
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from common.caching.local_cache import LocalCache
from common.database.prepared import Prepared
from common.templatetags.interface import short_when
from messenger.access import TopicQuerySet, memberships_in_force
from messenger.models import Topic
from messenger.notifications.explanations.wording import notifications_in_words
from messenger.reading.annotations import with_unread_mention
from tenancy.models import Member

PAGE_LENGTH = 50
EXCERPT_LENGTH = 120
EXCERPT_SOURCE_LENGTH = 600  # characters of HTML that surely hold so many of text
# What is asked of a topic each time it is shown: who may see it, whether it changed, and what is the reader's own.
COLUMNS = ("pk", "revision", "group", "is_mentioned", "is_muted", "read_up_to")
CUT_OFF_TAG = re.compile(r"<[^>]*\Z")
# Where one word ends and another begins: not at “<strong>412</strong>,”.
TAG_BETWEEN_WORDS = re.compile(r"<(?!/?(?:a|code|del|em|s|span|strong)\b)")


class TopicSummary(NamedTuple):
    """What it shows of a topic to everybody: the same until the topic has another revision or a name changes."""

    name: str
    notifications_enabled: bool
    notification_interval: int
    last_activity_at: datetime
    last_sequence: int
    author: str | None  # of the last message; None: there is none yet
    excerpt: str | None  # None: the last message was removed


@dataclass(frozen=True, eq=False)
class TopicRow:
    """A topic as the list shows it to one reader. What looks the same is the same one: it is compared as such."""

    pk: int
    name: str
    group: str
    notifications_enabled: bool
    notifications: str
    when: str  # the last activity, as short as it can be said
    moment: str  # the same in full
    timestamp: str  # and for programs
    is_muted: bool  # by the reader
    unread: int  # how many messages they have not read
    is_mentioned: bool  # the reader, in what they have not read yet
    author: str | None  # of the last message; None: there is none yet
    excerpt: str
    # Its HTML (render_topic_rows), by who looks at it.
    html: dict[tuple[Any, ...], bytes] = field(default_factory=dict, repr=False)


def search(topics: TopicQuerySet, words: str, group_id: str) -> TopicQuerySet:
    """The topics whose name or group's name holds the words, of one group or of all."""
    if words:
        topics = topics.filter(Q(name__icontains=words) | Q(group__name__icontains=words))
    if group_id.isascii() and group_id.isdigit() and len(group_id) <= 18:
        topics = topics.filter(group=int(group_id))
    return topics


def first_page(reader: Member, groups: list["ReadGroup"]) -> tuple[tuple[TopicRow, ...], bool]:
    """What the list opens with: as page_of, of all topics of the groups that somebody reads."""
    if len(groups) == 1:
        found = FIRST_PAGE_OF_GROUP(groups[0].pk, reader.pk)
    else:
        found = FIRST_PAGE(reader.tenancy_id, reader.pk, [group.pk for group in groups])
    return _page(found, groups, reader)


def page_of(
    topics: TopicQuerySet, groups: list["ReadGroup"], reader: Member, number: int
) -> tuple[tuple[TopicRow, ...], bool]:
    """The rows of a page, latest topic first, and whether there is a page after it. No count is taken.

    `groups`: those that somebody reads, of which the topics are.
    """
    start = (number - 1) * PAGE_LENGTH
    return _page(list(_columns(topics, reader)[start : start + PAGE_LENGTH + 1]), groups, reader)


def _columns(topics: TopicQuerySet, reader: Member) -> QuerySet[Topic, tuple[Any, ...]]:
    return with_unread_mention(topics, reader).latest_first().values_list(*COLUMNS)


FIRST_PAGE = Prepared(
    "first_topics",
    # The tenancy says nothing new: it is what the index of the latest topics begins with.
    lambda tenancy, member, groups: _columns(
        Topic.objects.active_in(groups).filter(tenancy=tenancy), Member(pk=member)
    )[: PAGE_LENGTH + 1],
    "bigint",
    "bigint",
    "bigint[]",
)
# Most people are in one group. To look for its topics among all of the tenancy costs the more, the more there are.
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
        .values_list(
            "pk",
            "revision",
            "name",
            "notifications_enabled",
            "notification_interval",
            "last_activity_at",
            "last_sequence",
            "last__author__name",
            "excerpt",
            "last__removed_at",
        )
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
    pk: int
    name: str


def groups_of(reader: Member) -> list[ReadGroup]:
    """The groups whose topics somebody reads, by name."""
    return [ReadGroup._make(values) for values in GROUPS(reader.pk)]


def count_inactive(member: Member, groups: list[ReadGroup]) -> int:
    """How many inactive topics this member could bring back: a Messenger manager those of their groups."""
    counts = INACTIVE([group.pk for group in groups]) if member.is_messenger_manager else []
    return sum(count for (count,) in counts)


# By topic, its revision, and that of names.
_summaries: LocalCache[TopicSummary] = LocalCache(5_000)
# Rows, by all that was found, and how that is said: who comes back mostly finds what they left.
_pages: LocalCache[tuple[TopicRow, ...]] = LocalCache(2_500)


def _page(found: list[tuple[Any, ...]], groups: list[ReadGroup], reader: Member) -> tuple[tuple[TopicRow, ...], bool]:
    place = (timezone.get_current_timezone(), timezone.localdate(), get_language())
    key = (tuple(found), tuple(groups), reader.tenancy.names_revision, place)
    rows = _pages.get(key)
    if rows is None:
        names, shown = dict(groups), _summaries_of(found[:PAGE_LENGTH], reader.tenancy.names_revision)
        rows = tuple(
            _as_row(pk, names[group], max(topic.last_sequence - read_up_to, 0), is_mentioned, is_muted, topic, *place)
            for pk, _revision, group, is_mentioned, is_muted, read_up_to in found[:PAGE_LENGTH]
            if group in names and (topic := shown[pk])  # of a group that they came into just now: the next time
        )
        if not connection.in_atomic_block:
            _pages.put(key, rows, len(rows))
    return rows, len(found) > PAGE_LENGTH


def clear_listing_cache() -> None:
    _summaries.clear()
    _pages.clear()


def _summaries_of(found: list[tuple[Any, ...]], names_revision: int) -> dict[int, TopicSummary | None]:
    shown = {pk: _summaries.get((pk, revision, names_revision)) for pk, revision, *_reader in found}
    missing = [pk for pk, topic in shown.items() if topic is None]
    for pk, revision, *values, html, removed_at in SUMMARIES(missing) if missing else ():
        shown[pk] = topic = TopicSummary._make((*values, None if removed_at else _as_text(html or "")))
        # Under the revision that it was read with: something may have been said since the topic was found.
        if not connection.in_atomic_block:
            _summaries.put((pk, revision, names_revision), topic)
    return shown


@lru_cache(maxsize=2_500)
def _as_row(
    pk: int,
    group: str,
    unread: int,
    is_mentioned: bool,
    is_muted: bool,
    topic: TopicSummary,
    zone: tzinfo,
    today: date,
    language: str | None,
) -> TopicRow:
    """In the active zone and language, and as it is said today: these only tell what was kept apart."""
    at = topic.last_activity_at.astimezone(zone)
    return TopicRow(
        pk=pk,
        name=topic.name,
        group=group,
        notifications_enabled=topic.notifications_enabled,
        notifications=notifications_in_words(topic.notifications_enabled, topic.notification_interval),
        when=short_when(at),
        moment=date_format(at, "DATETIME_FORMAT"),
        timestamp=at.isoformat(timespec="seconds"),
        is_muted=is_muted,
        unread=unread,
        is_mentioned=is_mentioned,
        author=topic.author,
        excerpt=_("Message removed") if topic.excerpt is None else topic.excerpt,
    )


def _as_text(html: str) -> str:
    words = unescape(strip_tags(TAG_BETWEEN_WORDS.sub(" <", CUT_OFF_TAG.sub("", html)))).split()
    return Truncator(" ".join(words)).chars(EXCERPT_LENGTH)


def render_topic_rows(topics: Iterable[TopicRow], slug: str, *, manages: bool, shows_inactive: bool) -> bytes:
    """HTML, encoded, in the language in which the rows were made. `manages`: whether the reader may edit them."""
    place = (slug, manages, shows_inactive)
    return b"".join([topic.html.get(place) or _render(topic, *place) for topic in topics])


def _render(topic: TopicRow, slug: str, manages: bool, shows_inactive: bool) -> bytes:
    context = {"topic": topic, "slug": slug, "manages": manages, "shows_inactive": shows_inactive}
    html = render_to_string("messenger/topics/_topic.html", context).encode()
    topic.html[slug, manages, shows_inactive] = html
    return html
