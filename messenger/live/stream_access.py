"""The access rule for many open streams at once."""

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

# Those of the given topics that are active, in an active group, in a tenancy with Messenger enabled.
TOPICS_IN_USE = Prepared(
    "topics_in_use",
    lambda topics: Topic.objects.filter(pk__one_of=topics, is_active=True, **groups_in_use("group__")).values_list(
        *columns(Topic)
    ),
    "bigint[]",
)


def _sessions_with_access(session_keys: Collection[str], groups: Collection[int], now: Any) -> QuerySet[Any, Any]:
    sessions = {
        "member__user__sessions__session_key__one_of": session_keys,
        "member__user__sessions__expire_date__gt": now,
    }
    memberships = GroupMembership.objects.of_active_members().filter(group__pk__one_of=groups, **sessions)
    return memberships.values_list("member__user__sessions__session_key", "member__user__password", "member", "group")


# For each open session: its key, the hashed password, the member, and those of the groups to which a membership gives
# the member access. With the groups of TOPICS_IN_USE, in the same snapshot, this is the access rule; each group is
# checked once, not once for each member. The statement starts from the sessions, so that the cost of each does not
# depend on how many people are in the groups.
SESSIONS_WITH_ACCESS = Prepared("listening", _sessions_with_access, "text[]", "bigint[]", "timestamptz")


def readable_revisions(member_ids: Collection[int], topic_ids: Collection[int]) -> dict[tuple[int, int], int]:
    """The revisions of topics by (member, topic), for each of these members and topics that the member may read."""
    return {(member, topic): revision for member, topic, revision in _READABLE(list(member_ids), list(topic_ids))}


def members_with_messenger(member_ids: Collection[int]) -> set[int]:
    """Those of these members who have Messenger: a membership of an active group."""
    return set(GroupMembership.objects.in_force().filter(member__in=member_ids).values_list("member", flat=True))
