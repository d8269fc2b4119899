"""Changing a messenger group and its members."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Sum, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from messenger.events import bump_audience_revision
from messenger.models import GroupMembership, MessengerGroup, Topic
from messenger.notifications.delivery.cancellation import cancel_for_group, cancel_for_leavers
from messenger.reading.positions import start_with_nothing_unread
from tenancy.models import Member


@dataclass(frozen=True)
class History:
    """How much a new member of a group can read right away."""

    topics: int
    messages: int


def history_of(group: MessengerGroup) -> History:
    """Count the active topics in which something was posted, and their messages."""
    sums = Topic.objects.filter(group=group, is_active=True, last_sequence__gt=0).aggregate(
        topics=Count("pk"), messages=Sum("last_sequence", default=0)
    )
    return History(**sums)


@transaction.atomic
def save_group(group: MessengerGroup, users: Collection[Member]) -> None:
    """Save a group and make `users` its members: others leave, new ones join, existing memberships stay as they are.

    Serialised with posting in the group, so that it is always clear who was a member when a message was posted.
    Raises IntegrityError if the name has been taken in the meantime.
    """
    was_active = False
    if group.pk:
        locked = MessengerGroup.objects.select_for_update(no_key=True).get(pk=group.pk)
        was_active, group.roster = locked.is_active, locked.roster + 1
    group.save()
    now = timezone.now()
    open_memberships = GroupMembership.objects.open().filter(group=group)
    present = set(open_memberships.values_list("member", flat=True))
    wanted = {member.pk for member in users}

    leaving = Member.objects.filter(pk__in=present - wanted)
    if present - wanted:
        cancel_for_leavers(group, leaving)
        open_memberships.filter(member__in=present - wanted).update(
            # Never before `joined_at`: a clock that was set back must not keep anyone in the group.
            left_at=Greatest("joined_at", Value(now)),
            left_roster=group.roster,
        )
    GroupMembership.objects.bulk_create(
        GroupMembership(
            tenancy_id=group.tenancy_id, group=group, member_id=pk, joined_at=now, joined_roster=group.roster
        )
        for pk in sorted(wanted - present)
    )
    start_with_nothing_unread(group, wanted - present)
    if was_active and not group.is_active:
        cancel_for_group(group)
    if present != wanted:
        bump_audience_revision(Topic.objects.filter(group=group))
