"""Mails that lost their addressee, settled in the transaction that takes the access, or the wish, away.

Whatever switches access off calls one of these, so that switching it on again sends nothing late.
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
    """The topic was made inactive."""
    messages = Message.objects.filter(topic=topic)
    fan_out_pending(MessengerGroup.objects.filter(pk=topic.group_id), messages)
    cancel(Delivery.objects.filter(message__in=messages), Reason.TOPIC_INACTIVE)


def cancel_for_group(group: MessengerGroup) -> None:
    """The group was made inactive."""
    messages = Message.objects.filter(topic__group=group)
    fan_out_pending(MessengerGroup.objects.filter(pk=group.pk), messages)
    cancel(Delivery.objects.filter(message__in=messages), Reason.GROUP_INACTIVE)


def cancel_for_leavers(group: MessengerGroup, members: QuerySet[Member]) -> None:
    """These left the group."""
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
    """To be deactivated: nothing that waits is sent. To be active again: nothing that was posted meanwhile is."""
    groups = fan_out_pending_of(member)
    cancel(Delivery.objects.filter(member=member), Reason.MEMBER_INACTIVE)
    bump_audience_revision(Topic.objects.filter(group__in=groups))


def fan_out_pending_of(member: Member) -> QuerySet[MessengerGroup]:
    """The same as fan_out_pending, for all groups that this member is or was in; returns these."""
    groups = MessengerGroup.objects.filter(pk__in=GroupMembership.objects.filter(member=member).values("group"))
    fan_out_pending(groups, Message.objects.filter(topic__group__in=groups))
    return groups


def fan_out_pending(groups: QuerySet[MessengerGroup], messages: QuerySet[Message]) -> None:
    """Until the transaction ends nobody posts in these groups, and what was posted has its deliveries.

    They are written as things are before the change that the caller is about to make, or has made to what
    `cancel` then settles; written later they would be sent later.
    """
    list(groups.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    undecided = messages.filter(outcome=Message.Outcome.EMAIL, fanned_out_at=None)
    for pk in list(undecided.order_by("pk").values_list("pk", flat=True)):
        outbox.fan_out(pk)


def cancel(deliveries: QuerySet[Delivery], reason: Delivery.Reason) -> None:
    """None of these is sent any more."""
    # A mail that is just going out is not waited for: while the mail server stalls, posts would wait too. If it
    # does not go out after all, its sender asks for the access again.
    waiting = deliveries.filter(state=Delivery.State.WAITING)
    free = waiting.select_for_update(of=("self",), skip_locked=True).values_list("pk", flat=True)
    Delivery.objects.filter(pk__in=list(free)).update(
        state=Delivery.State.NOT_SENT, reason=reason, settled_at=timezone.now()
    )
