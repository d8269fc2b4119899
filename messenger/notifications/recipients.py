"""Who gets a topic's e-mails: who was in its group when a message was posted, and how many would get the next one.

The counts are cached until the topic's `audience_revision` changes (events.bump_audience_revision). A message does not
change it, because counting a group of thousands would double the cost of posting. Changes that do not raise it (a user
who was deactivated everywhere) are noticed after COUNTED_FOR seconds.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import Case, Count, Exists, OuterRef, Q, Value, When

from common.database.prepared import Prepared
from messenger.models import Delivery, GroupMembership, MailPreference, Message, Topic, TopicMute
from tenancy.models import Member, MemberQuerySet

COUNTED_FOR = 60  # seconds


@dataclass(frozen=True)
class Audience:
    people: int  # who read the topic
    mailed: int  # those of them who did not mute it

    def recipients(self, *, is_muted: bool, wants_own: bool) -> int:
        """How many would be mailed a message of one of them, who chose so."""
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
    return _count(topic.group_id, topic.pk, topic.audience_revision, int(time.monotonic() // COUNTED_FOR))


@lru_cache(maxsize=2_500)
def _count(group_pk: int, topic_pk: int, revision: int, period: int) -> Audience:
    counted = COUNTS(group_pk, topic_pk)
    return Audience(*counted[0]) if counted else Audience(0, 0)


clear_audience_cache = _count.cache_clear


def members_at(message: Message) -> MemberQuerySet:
    """Those who were in the message's group when it was posted, in force today or not."""
    memberships = GroupMembership.objects.filter(held_at(message.roster), group__topics=message.topic_id)
    return Member.objects.filter(pk__in=memberships.values("member"))


def held_at(roster: Any, path: str = "") -> Q:
    """Of memberships, or of what `path` leads from to them: those that held at a roster of their group."""
    return Q(**{f"{path}joined_roster__lte": roster}) & (
        Q(**{f"{path}left_roster": None}) | Q(**{f"{path}left_roster__gt": roster})
    )


def exclusion(topic: Any, author_pk: int) -> Case:
    """Of members of a topic's group: why no mail about a message of that author is due to them, or "".

    `topic` is its id, or a reference to it from within a query about members.
    """
    wants_own = MailPreference.objects.filter(member=OuterRef("pk"), own_messages=True)
    muted = TopicMute.objects.filter(member=OuterRef("pk"), topic=topic)
    return Case(
        When(Q(is_active=False) | Q(user__is_active=False), then=Value(Delivery.Reason.MEMBER_INACTIVE)),
        When(Q(pk=author_pk) & ~Exists(wants_own), then=Value(Delivery.Reason.AUTHOR)),
        When(Exists(muted), then=Value(Delivery.Reason.MUTED)),
        default=Value(""),
    )
