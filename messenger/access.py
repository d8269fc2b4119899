"""The access rule, and the one door to every row of Messenger.

Views, tasks, the live stream and mails reach rows through here only. The rule itself is `in_force`:
a membership lets its member in while it is open and everything that it hangs on is active. `visible_to` and
`readers` ask it in opposite directions, `manageable_by` and `listed_for` say what else a role may see.
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
    """The half of the access rule that is about a group; `group` leads to it."""
    return {f"{group}is_active": True, f"{group}tenancy__messenger_enabled": True}


class GroupMembershipQuerySet(models.QuerySet["GroupMembership"]):
    def open(self) -> "GroupMembershipQuerySet":
        """Those that nobody ended, whatever the state of their member, group and tenancy."""
        return self.filter(left_at=None)

    def in_force(self) -> "GroupMembershipQuerySet":
        """Those that let their member read the group now. This is the access rule."""
        return self.of_active_members().filter(**groups_in_use("group__"))

    def of_active_members(self) -> "GroupMembershipQuerySet":
        """The half of the rule that is about the member: for groups that are known to be in use."""
        return self.open().filter(member__is_active=True, member__user__is_active=True)

    def letting_into(self, topic: Any) -> "GroupMembershipQuerySet":
        """Those that let their member read a topic now: its id, or a reference to it from within a query."""
        return self.in_force().filter(group__topics=topic, group__topics__is_active=True)


def memberships_in_force(member: Member) -> GroupMembershipQuerySet:
    """`in_force` for one member. What it asks of them, their user and their tenancy is asked once, not each time.

    A group is of its members' tenancy: the database sees to that.
    """
    able = Member.objects.active().filter(pk=member.pk, tenancy__messenger_enabled=True)
    own: GroupMembershipQuerySet = member.group_memberships.open()
    return own.filter(Exists(able), group__is_active=True)


class MessengerGroupQuerySet(models.QuerySet["MessengerGroup"]):
    def visible_to(self, member: Member) -> "MessengerGroupQuerySet":
        """The groups whose topics this member reads."""
        return self.filter(pk__in=memberships_in_force(member).values("group"))

    def manageable_by(self, member: Member) -> "MessengerGroupQuerySet":
        """The groups in which this member creates and edits topics: their own, with the role."""
        return self.visible_to(member) if member.is_messenger_manager else self.none()

    def listed_for(self, member: Member) -> "MessengerGroupQuerySet":
        """The groups that Administration > Messenger users shows: all to an administrator, else one's own."""
        if member.is_administrator:
            return self.filter(tenancy=member.tenancy_id)
        return self.visible_to(member)

    def with_member_count(self) -> "MessengerGroupQuerySet":
        """Each with `member_count`: the people who were put into it and did not leave, active or not."""
        return self.annotate(member_count=Count("memberships", filter=Q(memberships__left_at=None)))

    def by_name(self) -> "MessengerGroupQuerySet":
        return self.order_by(Lower("name"), "pk")


class TopicQuerySet(models.QuerySet["Topic"]):
    def visible_to(self, member: Member) -> "TopicQuerySet":
        """The topics that this member reads and takes part in: active ones of their groups."""
        return self.filter(is_active=True, group__in=memberships_in_force(member).values("group"))

    def active_in(self, groups: Collection[int]) -> "TopicQuerySet":
        """Of groups (ids) that `MessengerGroup.objects.visible_to` found just now: the same as `visible_to`.

        Where the planner should not begin with the groups: the few latest ones of many topics are found by time.
        """
        return self.filter(group__pk__one_of=groups, is_active=True)

    def active_of(self, group: int) -> "TopicQuerySet":
        """The same, of a single one: its latest topics are found by time whatever else is in the tenancy."""
        return self.filter(group=group, is_active=True)

    def inactive_in(self, groups: Collection[int]) -> "TopicQuerySet":
        """Of such groups the inactive ones: a Messenger manager edits them, as `manageable_by` says."""
        return self.filter(group__pk__one_of=groups, is_active=False)

    def manageable_by(self, member: Member) -> "TopicQuerySet":
        """The topics, inactive ones too, whose settings this member edits."""
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
        """Of groups (ids) that `MessengerGroup.objects.visible_to` found just now: the same as `visible_to`."""
        return self.filter(topic__group__pk__one_of=groups, topic__is_active=True)

    def before(self, sequence: int) -> "MessageQuerySet":
        return self.filter(sequence__lt=sequence)

    def after(self, sequence: int) -> "MessageQuerySet":
        return self.filter(sequence__gt=sequence)

    def oldest_first(self) -> "MessageQuerySet":
        return self.order_by("sequence")

    def newest_first(self) -> "MessageQuerySet":
        return self.order_by("-sequence")
