"""Mails that lost their addressee, settled in the transaction that takes the access, or the wish, away.

Whatever switches access off calls one of these, so that switching it on again sends nothing late.
"""

from typing import Any

from django.db.models import QuerySet
from django.dispatch import receiver
from django.utils import timezone

from messenger.events import touch_forecasts
from messenger.models import Delivery, GroupMembership, Message, MessengerGroup, Topic
from messenger.notifications.delivery import outbox
from tenancy.models import Member, Tenancy
from tenancy.signals import member_status_changes, messenger_switched_off

Reason = Delivery.Reason


def withdraw_topic(topic: Topic) -> None:
    """The topic was made inactive."""
    messages = Message.objects.filter(topic=topic)
    write_deliveries(MessengerGroup.objects.filter(pk=topic.group_id), messages)
    cancel(Delivery.objects.filter(message__in=messages), Reason.TOPIC_INACTIVE)


def withdraw_group(group: MessengerGroup) -> None:
    """The group was made inactive."""
    messages = Message.objects.filter(topic__group=group)
    write_deliveries(MessengerGroup.objects.filter(pk=group.pk), messages)
    cancel(Delivery.objects.filter(message__in=messages), Reason.GROUP_INACTIVE)


def withdraw_members(group: MessengerGroup, members: QuerySet[Member]) -> None:
    """These left the group."""
    messages = Message.objects.filter(topic__group=group)
    write_deliveries(MessengerGroup.objects.filter(pk=group.pk), messages)
    cancel(Delivery.objects.filter(message__in=messages, member__in=members), Reason.LEFT)


@receiver(messenger_switched_off)
def withdraw_tenancy(sender: type, tenancy: Tenancy, **_kwargs: Any) -> None:
    messages = Message.objects.filter(tenancy=tenancy)
    write_deliveries(MessengerGroup.objects.filter(tenancy=tenancy), messages)
    cancel(Delivery.objects.filter(message__in=messages), Reason.MESSENGER_OFF)


@receiver(member_status_changes)
def withdraw_member(sender: type, member: Member, **_kwargs: Any) -> None:
    """To be deactivated: nothing that waits is sent. To be active again: nothing that was posted meanwhile is."""
    groups = write_deliveries_of(member)
    cancel(Delivery.objects.filter(member=member), Reason.MEMBER_INACTIVE)
    touch_forecasts(Topic.objects.filter(group__in=groups))


def write_deliveries_of(member: Member) -> QuerySet[MessengerGroup]:
    """The same as write_deliveries, for all groups that this member is or was in; returns these."""
    groups = MessengerGroup.objects.filter(pk__in=GroupMembership.objects.filter(member=member).values("group"))
    write_deliveries(groups, Message.objects.filter(topic__group__in=groups))
    return groups


def write_deliveries(groups: QuerySet[MessengerGroup], messages: QuerySet[Message]) -> None:
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
