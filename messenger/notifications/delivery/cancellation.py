"""Cancels the pending mails of members who lose access or opt out, in the transaction that makes this change.

All code that takes access away calls one of these functions, so that nothing is sent late when access comes back.
"""

from typing import Any

from django.db.models import QuerySet
from django.dispatch import receiver
from django.utils import timezone

from messenger.events import bump_audience_revision
from messenger.models import Delivery, GroupMembership, Message, MessengerGroup, Topic
from messenger.notifications.delivery import outbox
from tenancy.models import Member, Tenancy
from tenancy.signals import member_status_changes, messenger_switched_off

Reason = Delivery.Reason


def cancel_for_topic(topic: Topic) -> None:
    """Call this when the topic was made inactive."""
    messages = Message.objects.filter(topic=topic)
    fan_out_pending(MessengerGroup.objects.filter(pk=topic.group_id), messages)
    cancel(Delivery.objects.filter(message__in=messages), Reason.TOPIC_INACTIVE)


def cancel_for_group(group: MessengerGroup) -> None:
    """Call this when the group was made inactive."""
    messages = Message.objects.filter(topic__group=group)
    fan_out_pending(MessengerGroup.objects.filter(pk=group.pk), messages)
    cancel(Delivery.objects.filter(message__in=messages), Reason.GROUP_INACTIVE)


def cancel_for_leavers(group: MessengerGroup, members: QuerySet[Member]) -> None:
    """Call this when these members leave the group."""
    messages = Message.objects.filter(topic__group=group)
    fan_out_pending(MessengerGroup.objects.filter(pk=group.pk), messages)
    cancel(Delivery.objects.filter(message__in=messages, member__in=members), Reason.LEFT)


@receiver(messenger_switched_off)
def cancel_for_tenancy(sender: type, tenancy: Tenancy, **_kwargs: Any) -> None:
    messages = Message.objects.filter(tenancy=tenancy)
    fan_out_pending(MessengerGroup.objects.filter(tenancy=tenancy), messages)
    cancel(Delivery.objects.filter(message__in=messages), Reason.MESSENGER_OFF)


@receiver(member_status_changes)
def cancel_for_member(sender: type, member: Member, **_kwargs: Any) -> None:
    """Runs before a member is deactivated or reactivated.

    After a deactivation, no pending mail is sent; after a reactivation, nothing that was posted in between is.
    """
    groups = fan_out_pending_of(member)
    cancel(Delivery.objects.filter(member=member), Reason.MEMBER_INACTIVE)
    bump_audience_revision(Topic.objects.filter(group__in=groups))


def fan_out_pending_of(member: Member) -> QuerySet[MessengerGroup]:
    """Call `fan_out_pending` for all groups that this member is or was in, and return these groups."""
    groups = MessengerGroup.objects.filter(pk__in=GroupMembership.objects.filter(member=member).values("group"))
    fan_out_pending(groups, Message.objects.filter(topic__group__in=groups))
    return groups


def fan_out_pending(groups: QuerySet[MessengerGroup], messages: QuerySet[Message]) -> None:
    """Write the deliveries of all pending messages, and block posts in these groups until the transaction ends.

    Call this before changing anything that recipients depend on, or before `cancel`: pending deliveries must be
    written by the state at the time of posting. If they were written later, `cancel` would miss them, and they would
    be sent.
    """
    list(groups.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    pending = messages.filter(outcome=Message.Outcome.EMAIL, fanned_out_at=None)
    for pk in list(pending.order_by("pk").values_list("pk", flat=True)):
        outbox.fan_out(pk)


def cancel(deliveries: QuerySet[Delivery], reason: Delivery.Reason) -> None:
    """Settle those of the deliveries that are still waiting as not sent."""
    # Skip mails that are being sent: waiting for a stalled mail server would block posts too. If such a mail is not
    # sent after all, access is checked again before the next attempt.
    waiting = deliveries.filter(state=Delivery.State.WAITING)
    unlocked = waiting.select_for_update(of=("self",), skip_locked=True).values_list("pk", flat=True)
    Delivery.objects.filter(pk__in=list(unlocked)).update(
        state=Delivery.State.NOT_SENT, reason=reason, settled_at=timezone.now()
    )
