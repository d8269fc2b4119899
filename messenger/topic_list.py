"""What the topic list shows of each topic: its group, its last message, what it mails."""

import re
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from functools import lru_cache
from html import unescape
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Left
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import strip_tags
from django.utils.text import Truncator
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from ippex_messenger.keep import Keep
from ippex_messenger.prepared import Prepared
from ippex_messenger.templatetags.interface import short_when
from messenger.models import Message, MessengerGroup, Topic
from messenger.querysets import TopicQuerySet
from messenger.wording import notifications_in_words
from tenancy.models import Member

PAGE_LENGTH = 50
EXCERPT_LENGTH = 120
EXCERPT_SOURCE_LENGTH = 600  # characters of HTML that surely hold so many of text
CUT_OFF_TAG = re.compile(r"<[^>]*\Z")
# Where one word ends and another begins: not at “<strong>412</strong>,”.
TAG_BETWEEN_WORDS = re.compile(r"<(?!/?(?:a|code|del|em|s|span|strong)\b)")


class Found(NamedTuple):
    """What the list asks of a topic each time it is shown."""

    pk: int
    revision: int
    group_id: int
    name: str
    notifications_enabled: bool
    notification_interval: int
    last_activity_at: datetime
    last_sequence: int
    is_mentioned: bool
    is_muted: bool
    read_up_to: int


class Last(NamedTuple):
    """What it shows of the last message, which is the same until the topic has another revision or a name changes."""

    author: str
    excerpt: str


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


def search(topics: TopicQuerySet, words: str, group_id: str) -> TopicQuerySet:
    """The topics whose name or group's name holds the words, of one group or of all."""
    if words:
        topics = topics.filter(Q(name__icontains=words) | Q(group__name__icontains=words))
    if group_id.isascii() and group_id.isdigit() and len(group_id) <= 18:
        topics = topics.filter(group=int(group_id))
    return topics


def first_page(reader: Member, groups: list["ReadGroup"]) -> tuple[list[TopicRow], bool]:
    """What the list opens with: as page_of, of all topics of the groups that somebody reads."""
    found = [Found._make(values) for values in FIRST_PAGE(reader.tenancy_id, reader.pk, [group.pk for group in groups])]
    return _as_rows(found, groups, reader), len(found) > PAGE_LENGTH


def page_of(
    topics: TopicQuerySet, groups: list["ReadGroup"], reader: Member, number: int
) -> tuple[list[TopicRow], bool]:
    """The rows of a page, latest topic first, and whether there is a page after it. No count is taken.

    `groups`: those that somebody reads, of which the topics are.
    """
    start = (number - 1) * PAGE_LENGTH
    found = [Found._make(values) for values in _columns(topics, reader)[start : start + PAGE_LENGTH + 1]]
    return _as_rows(found, groups, reader), len(found) > PAGE_LENGTH


def _columns(topics: TopicQuerySet, reader: Member) -> QuerySet[Topic, tuple[Any, ...]]:
    return topics.with_reader(reader).with_unread_mention(reader).latest_first().values_list(*Found._fields)


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
LAST = Prepared(
    "last_messages",
    lambda topics: (
        Message.objects.filter(topic__pk__one_of=topics, sequence=F("topic__last_sequence"))
        .annotate(excerpt=Left("body_html", EXCERPT_SOURCE_LENGTH))
        .values_list("topic", "topic__revision", "author__name", "excerpt", "removed_at")
    ),
    "bigint[]",
)


GROUPS = Prepared(
    "groups_of_reader",
    lambda member: MessengerGroup.objects.visible_to(Member(pk=member)).by_name().values_list("pk", "name"),
    "bigint",
)
INACTIVE = Prepared(
    "inactive_topics",
    lambda member: (
        Topic.objects.manageable_by(Member(pk=member, is_messenger_manager=True))
        .filter(is_active=False)
        .values("is_active")
        .annotate(count=Count("pk"))
        .values_list("count")
    ),
    "bigint",
)


class ReadGroup(NamedTuple):
    pk: int
    name: str


def groups_of(reader: Member) -> list[ReadGroup]:
    """The groups whose topics somebody reads, by name."""
    return [ReadGroup._make(values) for values in GROUPS(reader.pk)]


def count_inactive(member: Member) -> int:
    """How many inactive topics this member could bring back: a Messenger manager those of their groups."""
    counted = INACTIVE(member.pk) if member.is_messenger_manager else []
    return int(counted[0][0]) if counted else 0


# By topic, its revision, that of names, and language.
_last: Keep[Last | None] = Keep(5_000)


def _last_of(found: list[Found], reader: Member) -> dict[int, Last | None]:
    """By topic; None: nobody has written there yet."""
    place = (reader.tenancy.names_revision, get_language())
    known = {topic.pk: _last.get((topic.pk, topic.revision, *place)) for topic in found}
    missing = [topic.pk for topic in found if topic.last_sequence and known[topic.pk] is None]
    for pk, revision, author, html, removed_at in LAST(missing) if missing else ():
        known[pk] = Last(author, _("Message removed") if removed_at else _as_text(html))
        # Under the revision that it was read with: something may have been said since the topic was found.
        if not connection.in_atomic_block:
            _last.put((pk, revision, *place), known[pk])
    return known


def _as_rows(found: list[Found], groups: list["ReadGroup"], reader: Member) -> list[TopicRow]:
    found = found[:PAGE_LENGTH]
    place = (timezone.get_current_timezone(), timezone.localdate(), get_language())
    names, last = dict(groups), _last_of(found, reader)
    # Of a group that they came into just now it is shown the next time.
    return [_as_row(topic, names[topic.group_id], last[topic.pk], *place) for topic in found if topic.group_id in names]


@lru_cache(maxsize=2_500)
def _as_row(topic: Found, group: str, last: Last | None, zone: tzinfo, today: date, language: str | None) -> TopicRow:
    """In the active zone and language, and as it is said today: these only tell what was kept apart."""
    at = topic.last_activity_at.astimezone(zone)
    return TopicRow(
        pk=topic.pk,
        name=topic.name,
        group=group,
        notifications_enabled=topic.notifications_enabled,
        notifications=notifications_in_words(topic.notifications_enabled, topic.notification_interval),
        when=short_when(at),
        moment=date_format(at, "DATETIME_FORMAT"),
        timestamp=at.isoformat(timespec="seconds"),
        is_muted=topic.is_muted,
        unread=max(topic.last_sequence - topic.read_up_to, 0),
        is_mentioned=topic.is_mentioned,
        author=last.author if last else None,
        excerpt=last.excerpt if last else "",
    )


def _as_text(html: str) -> str:
    words = unescape(strip_tags(TAG_BETWEEN_WORDS.sub(" <", CUT_OFF_TAG.sub("", html)))).split()
    return Truncator(" ".join(words)).chars(EXCERPT_LENGTH)
