"""Who may listen: the access rule, asked for many open streams at once."""

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet

from common.database.prepared import Prepared, columns
from messenger.access import groups_in_use
from messenger.models import GroupMembership, Topic


def _readable(member_ids: Collection[int], topic_ids: Collection[int]) -> QuerySet[Any, tuple[int, ...]]:
    topics = {"group__topics__pk__one_of": topic_ids, "group__topics__is_active": True}
    memberships = GroupMembership.objects.in_force().filter(member__pk__one_of=member_ids, **topics)
    return memberships.values_list("member", "group__topics", "group__topics__revision")


_READABLE = Prepared("readable_revisions", _readable, "bigint[]", "bigint[]")

TOPICS_IN_USE = Prepared(
    "topics_in_use",
    lambda topics: Topic.objects.filter(pk__one_of=topics, is_active=True, **groups_in_use("group__")).values_list(
        *columns(Topic)
    ),
    "bigint[]",
)


def _listening(session_keys: Collection[str], groups: Collection[int], now: Any) -> QuerySet[Any, Any]:
    sessions = {
        "member__user__sessions__session_key__one_of": session_keys,
        "member__user__sessions__expire_date__gt": now,
    }
    memberships = GroupMembership.objects.of_people().filter(group__pk__one_of=groups, **sessions)
    return memberships.values_list("member__user__sessions__session_key", "member__user__password", "member", "group")


# Of sessions: whose membership of which of these groups lets them in, and the hashed password. With the groups of
# TOPICS_IN_USE, in the same snapshot, that is the access rule; each group is looked up once, and not for each member.
# It begins with the sessions, so that it costs the same for each of them, however many people are in the groups.
LISTENING = Prepared("listening", _listening, "text[]", "bigint[]", "timestamptz")


def readable_revisions(member_ids: Collection[int], topic_ids: Collection[int]) -> dict[tuple[int, int], int]:
    """Of these members and topics, who reads which: (member, topic) to the topic's revision, for many streams."""
    return {(member, topic): revision for member, topic, revision in _READABLE(list(member_ids), list(topic_ids))}


def with_messenger(member_ids: Collection[int]) -> set[int]:
    """Of these members, who sees Messenger: those with an active group."""
    return set(GroupMembership.objects.in_force().filter(member__in=member_ids).values_list("member", flat=True))
