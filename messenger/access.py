"""The access rule: which rows of Messenger a member may reach.

Views, tasks, the live stream and mails reach rows only through these querysets. The rule itself is `in_force`: a
membership gives its member access while it is open and its member, user, group and tenancy are all in use. `visible_to`
and `Topic.readers` apply it in opposite directions; `manageable_by` and `listed_for` add what a role may see.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import (
    Count,
    Exists,
    Q,
)
from django.db.models.functions import Lower

from tenancy.models import Member

if TYPE_CHECKING:
    from messenger.models import GroupMembership, Message, MessengerGroup, Topic  # noqa: F401  (named in quotes)


def groups_in_use(group: str) -> dict[str, bool]:
    """The half of the access rule that concerns the group, as filters; `group` is the path to it ("group__")."""
    return {f"{group}is_active": True, f"{group}tenancy__messenger_enabled": True}


class GroupMembershipQuerySet(models.QuerySet["GroupMembership"]):
    def open(self) -> "GroupMembershipQuerySet":
        """Memberships that have not ended, whether or not their member, group and tenancy are active."""
        return self.filter(left_at=None)

    def in_force(self) -> "GroupMembershipQuerySet":
        """Memberships that give their member access to the group now. This is the access rule."""
        return self.of_active_members().filter(**groups_in_use("group__"))

    def of_active_members(self) -> "GroupMembershipQuerySet":
        """The half of the access rule that concerns the member; enough for groups that are known to be in use."""
        return self.open().filter(member__is_active=True, member__user__is_active=True)

    def letting_into(self, topic: Any) -> "GroupMembershipQuerySet":
        """Memberships that let their member read this topic now: an id, or a reference to it within a query."""
        return self.in_force().filter(group__topics=topic, group__topics__is_active=True)


def memberships_in_force(member: Member) -> GroupMembershipQuerySet:
    """`in_force` for one member. The member, their user and tenancy are checked once, not for each membership.

    That is enough because a group belongs to the tenancy of its members, which the database ensures.
    """
    active = Member.objects.active().filter(pk=member.pk, tenancy__messenger_enabled=True)
    own: GroupMembershipQuerySet = member.group_memberships.open()
    return own.filter(Exists(active), group__is_active=True)


class MessengerGroupQuerySet(models.QuerySet["MessengerGroup"]):
    def visible_to(self, member: Member) -> "MessengerGroupQuerySet":
        """The groups whose topics this member may read."""
        return self.filter(pk__in=memberships_in_force(member).values("group"))

    def manageable_by(self, member: Member) -> "MessengerGroupQuerySet":
        """The groups in which this member may create and edit topics: for Messenger managers, those they are in."""
        return self.visible_to(member) if member.is_messenger_manager else self.none()

    def listed_for(self, member: Member) -> "MessengerGroupQuerySet":
        """The groups shown in Administration > Messenger users: all for an administrator, else those they are in."""
        if member.is_administrator:
            return self.filter(tenancy=member.tenancy_id)
        return self.visible_to(member)

    def with_member_count(self) -> "MessengerGroupQuerySet":
        """Adds `member_count`: how many members were added and have not left, active or not."""
        return self.annotate(member_count=Count("memberships", filter=Q(memberships__left_at=None)))

    def by_name(self) -> "MessengerGroupQuerySet":
        return self.order_by(Lower("name"), "pk")


class TopicQuerySet(models.QuerySet["Topic"]):
    def visible_to(self, member: Member) -> "TopicQuerySet":
        """The topics in which this member may read and write: the active ones of their groups."""
        return self.filter(is_active=True, group__in=memberships_in_force(member).values("group"))

    def active_in(self, groups: Collection[int]) -> "TopicQuerySet":
        """As `visible_to`, for the ids of groups that `MessengerGroup.objects.visible_to` has just returned.

        For queries whose plan should not start from the groups: the few latest of many topics are found by time.
        """
        return self.filter(group__pk__one_of=groups, is_active=True)

    def active_of(self, group: int) -> "TopicQuerySet":
        """As `active_in`, for one group: its latest topics are found by time, whatever else the tenancy contains."""
        return self.filter(group=group, is_active=True)

    def inactive_in(self, groups: Collection[int]) -> "TopicQuerySet":
        """The inactive topics of such groups; for Messenger managers only, who may edit them (`manageable_by`)."""
        return self.filter(group__pk__one_of=groups, is_active=False)

    def manageable_by(self, member: Member) -> "TopicQuerySet":
        """The topics, including inactive ones, whose settings this member may edit."""
        if not member.is_messenger_manager:
            return self.none()
        return self.filter(group__in=memberships_in_force(member).values("group"))

    def by_name(self) -> "TopicQuerySet":
        return self.order_by(Lower("name"), "pk")

    def latest_first(self) -> "TopicQuerySet":
        return self.order_by("-last_activity_at", "-pk")


class MessageQuerySet(models.QuerySet["Message"]):
    def visible_to(self, member: Member) -> "MessageQuerySet":
        return self.filter(topic__is_active=True, topic__group__in=memberships_in_force(member).values("group"))

    def active_in(self, groups: Collection[int]) -> "MessageQuerySet":
        """As `visible_to`, for the ids of groups that `MessengerGroup.objects.visible_to` has just returned."""
        return self.filter(topic__group__pk__one_of=groups, topic__is_active=True)

    def before(self, sequence: int) -> "MessageQuerySet":
        return self.filter(sequence__lt=sequence)

    def after(self, sequence: int) -> "MessageQuerySet":
        return self.filter(sequence__gt=sequence)

    def oldest_first(self) -> "MessageQuerySet":
        return self.order_by("sequence")

    def newest_first(self) -> "MessageQuerySet":
        return self.order_by("-sequence")
