"""Mails that lost their addressee, settled in the transaction that takes the access away.

Whatever switches access off calls one of these, so that switching it on again sends nothing late.
"""

from typing import Any

from django.db.models import Q, QuerySet
from django.dispatch import receiver
from django.utils import timezone

from messenger import outbox
from messenger.models import Delivery, GroupMembership, Message, MessengerGroup, Topic
from tenancy.models import Member, Tenancy
from tenancy.signals import member_status_changed, messenger_switched_off

NOBODY_IN_PARTICULAR = Q()


def withdraw_topic(topic: Topic) -> None:
    """The topic was made inactive."""
    _withdraw(MessengerGroup.objects.filter(pk=topic.group_id), Message.objects.filter(topic=topic))


def withdraw_group(group: MessengerGroup) -> None:
    """The group was made inactive."""
    _withdraw(MessengerGroup.objects.filter(pk=group.pk), Message.objects.filter(topic__group=group))


def withdraw_members(group: MessengerGroup, members: QuerySet[Member]) -> None:
    """These left the group."""
    _withdraw(
        MessengerGroup.objects.filter(pk=group.pk),
        Message.objects.filter(topic__group=group),
        Q(member__in=members),
    )


@receiver(messenger_switched_off)
def withdraw_tenancy(sender: type, tenancy: Tenancy, **_kwargs: Any) -> None:
    _withdraw(MessengerGroup.objects.filter(tenancy=tenancy), Message.objects.filter(tenancy=tenancy))


@receiver(member_status_changed)
def withdraw_member(sender: type, member: Member, **_kwargs: Any) -> None:
    """Deactivated: nothing that waits is sent. Active again: nothing that was posted meanwhile is sent late."""
    groups = GroupMembership.objects.filter(member=member).values("group")
    _withdraw(
        MessengerGroup.objects.filter(pk__in=groups),
        Message.objects.filter(topic__group__in=groups),
        Q(member=member),
    )


def _withdraw(groups: QuerySet[MessengerGroup], messages: QuerySet[Message], whose: Q = NOBODY_IN_PARTICULAR) -> None:
    # Waits for posts under way in these groups, and holds up further ones until the access is gone.
    list(groups.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    # First write the deliveries that are still to be written, or they would be written, and sent, later.
    undecided = messages.filter(outcome=Message.Outcome.EMAIL, fanned_out_at=None)
    for pk in list(undecided.order_by("pk").values_list("pk", flat=True)):
        outbox.fan_out(pk)
    waiting = Delivery.objects.filter(whose, message__in=messages, state=Delivery.State.WAITING)
    # A mail that is just going out is not waited for: while the mail server stalls, posts would wait too. If it
    # does not go out after all, its sender asks for the access again.
    free = waiting.select_for_update(of=("self",), skip_locked=True).values_list("pk", flat=True)
    Delivery.objects.filter(pk__in=list(free)).update(
        state=Delivery.State.NOT_SENT, reason=Delivery.Reason.LOST_ACCESS, settled_at=timezone.now()
    )
