"""Who gets a topic's e-mails: the members of its group when a message was posted, and how many would get the next one.

The counts are cached until the topic's `audience_revision` changes (events.bump_audience_revision). A message does not
change it, because counting a group of thousands would double the cost of posting. Changes that do not raise it (a user
who was deactivated everywhere) are noticed after COUNT_SECONDS.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import Case, Count, Exists, OuterRef, Q, Value, When

from common.database.prepared import Prepared
from messenger.models import Delivery, GroupMembership, MailPreference, Message, Topic, TopicMute
from tenancy.models import Member, MemberQuerySet

COUNT_SECONDS = 60


@dataclass(frozen=True)
class Audience:
    people: int  # readers of the topic
    mailed: int  # readers who have not muted it

    def recipients(self, *, is_muted: bool, wants_own: bool) -> int:
        """How many would be e-mailed a message by a reader with these preferences."""
        return self.mailed - (not is_muted and not wants_own)


COUNTS = Prepared(
    "audience",
    lambda group, topic: (
        GroupMembership.objects.in_force()
        .filter(group=group)
        .order_by()
        .values("group")
        .annotate(
            people=Count("pk"),
            mailed=Count("pk", filter=~Exists(TopicMute.objects.filter(member=OuterRef("member"), topic=topic))),
        )
        .values_list("people", "mailed")
    ),
    "bigint",
    "bigint",
)


def audience_of(topic: Topic) -> Audience:
    return _count(topic.group_id, topic.pk, topic.audience_revision, int(time.monotonic() // COUNT_SECONDS))


@lru_cache(maxsize=2_500)
def _count(group_pk: int, topic_pk: int, revision: int, period: int) -> Audience:
    counted = COUNTS(group_pk, topic_pk)
    return Audience(*counted[0]) if counted else Audience(0, 0)


clear_audience_cache = _count.cache_clear


def members_at(message: Message) -> MemberQuerySet:
    """The members of the message's group at the time of posting, including those who have left or lost access since."""
    memberships = GroupMembership.objects.filter(held_at(message.roster), group__topics=message.topic_id)
    return Member.objects.filter(pk__in=memberships.values("member"))


def held_at(roster: Any, path: str = "") -> Q:
    """The condition that a membership held at a roster number of its group; `path` is a lookup leading to it."""
    return Q(**{f"{path}joined_roster__lte": roster}) & (
        Q(**{f"{path}left_roster": None}) | Q(**{f"{path}left_roster__gt": roster})
    )


def exclusion(topic: Any, author_pk: int) -> Case:
    """An expression for members of a topic's group: why a message by that author is not mailed to them, or "".

    `topic` is an id, or a reference to it within a query for members.
    """
    wants_own = MailPreference.objects.filter(member=OuterRef("pk"), own_messages=True)
    muted = TopicMute.objects.filter(member=OuterRef("pk"), topic=topic)
    return Case(
        When(Q(is_active=False) | Q(user__is_active=False), then=Value(Delivery.Reason.MEMBER_INACTIVE)),
        When(Q(pk=author_pk) & ~Exists(wants_own), then=Value(Delivery.Reason.AUTHOR)),
        When(Exists(muted), then=Value(Delivery.Reason.MUTED)),
        default=Value(""),
    )
