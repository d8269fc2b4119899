"""What the topic list shows of each topic: its group, its last message, what it mails."""

import re
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from typing import Any

from django.db.models import F, FilteredRelation, Q
from django.db.models.functions import Left
from django.utils.html import strip_tags
from django.utils.text import Truncator
from django.utils.translation import gettext as _

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
    pk: int
    name: str
    group: str
    notifications_enabled: bool
    notifications: str
    last_activity_at: datetime
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


def page_of(topics: TopicQuerySet, reader: Member, number: int) -> tuple[list[TopicRow], bool]:
    """The rows of a page, latest topic first, and whether there is a page after it. No count is taken."""
    start = (number - 1) * PAGE_LENGTH
    columns = (
        topics.with_reader(reader)
        .with_unread_mention(reader)
        .latest_first()
        .annotate(
            last=FilteredRelation("messages", condition=Q(messages__sequence=F("last_sequence"))),
            excerpt=Left("last__body_html", EXCERPT_SOURCE_LENGTH),
        )
    )
    found = list(columns.values(*COLUMNS)[start : start + PAGE_LENGTH + 1])
    return [_as_row(topic) for topic in found[:PAGE_LENGTH]], len(found) > PAGE_LENGTH


def _as_row(topic: dict[str, Any]) -> TopicRow:
    return TopicRow(
        pk=topic["pk"],
        name=topic["name"],
        group=topic["group__name"],
        notifications_enabled=topic["notifications_enabled"],
        notifications=notifications_in_words(topic["notifications_enabled"], topic["notification_interval"]),
        last_activity_at=topic["last_activity_at"],
        is_muted=topic["is_muted"],
        unread=max(topic["last_sequence"] - topic["read_up_to"], 0),
        is_mentioned=topic["is_mentioned"],
        author=topic["last__author__name"],
        excerpt=_("Message removed") if topic["last__removed_at"] else _as_text(topic["excerpt"] or ""),
    )


def _as_text(html: str) -> str:
    words = unescape(strip_tags(CUT_OFF_TAG.sub("", html).replace("<", " <"))).split()
    return Truncator(" ".join(words)).chars(EXCERPT_LENGTH)
