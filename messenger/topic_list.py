"""What the topic list shows of each topic: its group, its last message, what it mails."""

import re
from dataclasses import dataclass
from datetime import date, tzinfo
from functools import lru_cache
from html import unescape
from typing import Any, NamedTuple

from django.db.models import Count, F, FilteredRelation, Q, QuerySet
from django.db.models.functions import Left
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import strip_tags
from django.utils.text import Truncator
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from ippex_messenger.prepared import Prepared
from ippex_messenger.templatetags.interface import short_when
from messenger.models import MessengerGroup, Topic
from messenger.querysets import TopicQuerySet
from messenger.wording import notifications_in_words
from tenancy.models import Member

PAGE_LENGTH = 50
EXCERPT_LENGTH = 120
EXCERPT_SOURCE_LENGTH = 600  # characters of HTML that surely hold so many of text
OF_TOPIC = ("pk", "name", "group__name", "notifications_enabled", "notification_interval", "last_activity_at")
OF_READER = ("is_mentioned", "is_muted", "read_up_to", "last_sequence")
OF_LAST_MESSAGE = ("excerpt", "last__author__name", "last__removed_at")
COLUMNS = (*OF_TOPIC, *OF_READER, *OF_LAST_MESSAGE)
CUT_OFF_TAG = re.compile(r"<[^>]*\Z")


@dataclass(frozen=True)
class TopicRow:
    """A topic as the list shows it to one reader."""

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
    found = FIRST_PAGE(reader.tenancy_id, reader.pk, [group.pk for group in groups])
    return _as_rows(found), len(found) > PAGE_LENGTH


def page_of(topics: TopicQuerySet, reader: Member, number: int) -> tuple[list[TopicRow], bool]:
    """The rows of a page, latest topic first, and whether there is a page after it. No count is taken."""
    start = (number - 1) * PAGE_LENGTH
    found = list(_columns(topics, reader)[start : start + PAGE_LENGTH + 1])
    return _as_rows(found), len(found) > PAGE_LENGTH


def _columns(topics: TopicQuerySet, reader: Member) -> QuerySet[Topic, tuple[Any, ...]]:
    return (
        topics.with_reader(reader)
        .with_unread_mention(reader)
        .latest_first()
        .annotate(
            last=FilteredRelation("messages", condition=Q(messages__sequence=F("last_sequence"))),
            excerpt=Left("last__body_html", EXCERPT_SOURCE_LENGTH),
        )
        .values_list(*COLUMNS)
    )


def _first(tenancy: int, member: int, groups: list[int]) -> QuerySet[Topic, tuple[Any, ...]]:
    # The tenancy says nothing new: it is what the index of the latest topics begins with.
    topics = Topic.objects.active_in(groups).filter(tenancy=tenancy).latest_first()
    # Chosen before anything is joined to them, or it would be joined to all.
    return _columns(Topic.objects.filter(pk__in=topics.values("pk")[: PAGE_LENGTH + 1]), Member(pk=member))


FIRST_PAGE = Prepared("first_topics", _first, "bigint", "bigint", "bigint[]")


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


def _as_rows(found: list[tuple[Any, ...]]) -> list[TopicRow]:
    place = (timezone.get_current_timezone(), timezone.localdate(), get_language())
    return [_as_row(topic, *place) for topic in found[:PAGE_LENGTH]]


@lru_cache(maxsize=2_500)
def _as_row(values: tuple[Any, ...], zone: tzinfo, today: date, language: str | None) -> TopicRow:
    """In the active zone and language, and as it is said today: these only tell what was kept apart."""
    topic = dict(zip(COLUMNS, values, strict=True))
    at = topic["last_activity_at"].astimezone(zone)
    return TopicRow(
        pk=topic["pk"],
        name=topic["name"],
        group=topic["group__name"],
        notifications_enabled=topic["notifications_enabled"],
        notifications=notifications_in_words(topic["notifications_enabled"], topic["notification_interval"]),
        when=short_when(at),
        moment=date_format(at, "DATETIME_FORMAT"),
        timestamp=at.isoformat(timespec="seconds"),
        is_muted=topic["is_muted"],
        unread=max(topic["last_sequence"] - topic["read_up_to"], 0),
        is_mentioned=topic["is_mentioned"],
        author=topic["last__author__name"],
        excerpt=_("Message removed") if topic["last__removed_at"] else _as_text(topic["excerpt"] or ""),
    )


def _as_text(html: str) -> str:
    words = unescape(strip_tags(CUT_OFF_TAG.sub("", html).replace("<", " <"))).split()
    return Truncator(" ".join(words)).chars(EXCERPT_LENGTH)
