"""From decisions to mails. These rows decide what is sent; the queue only carries hints, which may get lost.

`fan_out` writes one delivery per member, `deliver` sends what is due, `sweep` finds the work whose hint was lost.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from common.mail.sending import RefusedError, send, send_batch
from messenger.events import bump_revision
from messenger.models import Delivery, GroupMembership, Message, Topic
from messenger.notifications.delivery.claims import Claimed, claim, is_due, mark_sent
from messenger.notifications.delivery.mails import build_mail_for
from messenger.notifications.recipients import exclusion, members_at
from tenancy.models import Member

log = logging.getLogger(__name__)

# After a temporary refusal, the delays between attempts double from one minute.
FIRST_RETRY_DELAY = timedelta(minutes=1)
MAX_RETRY_DELAY = timedelta(hours=4)
MAX_ATTEMPTS = 14  # with these delays, the last one is a day after the first
# Rows that one run processes; each is sent in a transaction of its own.
BATCH = 5_000
INSERT_BATCH = 500
CHECK_BATCH = 100
SECOND_WORKER_FROM = 500  # mails


def fan_out(message_pk: int) -> None:
    """Write a delivery for every member of the group at the time of posting; calling it again is harmless.

    Code that changes what this depends on (active members, mutes, own messages) must have it done first
    (cancellation.py), so that the state at the time of posting decides.
    """
    with transaction.atomic():
        message = (
            Message.objects.select_for_update(no_key=True)
            .filter(pk=message_pk, outcome=Message.Outcome.EMAIL, fanned_out_at=None)
            .first()
        )
        if message is None:
            # After waiting for another worker, we hold the lock on the row although it was fanned out meanwhile. Held
            # until the end of a caller's transaction, it would be locked before its topic: `bump_revision` locks them
            # in the other order, so this could deadlock.
            transaction.set_rollback(True)
            return
        now = timezone.now()
        members = members_at(message).annotate(exclusion=exclusion(message.topic_id, message.author_id))
        deliveries = [_delivery(message, pk, reason, now) for pk, reason in members.values_list("pk", "exclusion")]
        Delivery.objects.bulk_create(deliveries, ignore_conflicts=True, batch_size=INSERT_BATCH)
        message.fanned_out_at = now
        message.addressees = sum(not delivery.reason for delivery in deliveries)
        message.save(update_fields=["fanned_out_at", "addressees"])


def _delivery(message: Message, member_pk: int, exclusion: str, now: datetime) -> Delivery:
    """A mail to be sent, or with an exclusion reason, the record that none is sent."""
    return Delivery(
        tenancy_id=message.tenancy_id,
        message=message,
        member_id=member_pk,
        state=Delivery.State.NOT_SENT if exclusion else Delivery.State.WAITING,
        reason=exclusion,
        next_attempt_at=None if exclusion else now,
        settled_at=now if exclusion else None,
    )


def deliver(deliveries: QuerySet[Delivery] | None = None, *, start_in_the_middle: bool = False) -> None:
    """Send the deliveries that are due (by default, of all), one mail per addressee over one connection.

    A failure of the connection or the server ends the run and does not count as an attempt: the rest stays due, and
    the next sweep tries again within seconds. A second worker on the same list starts in the middle.
    """
    due = (Delivery.objects.all() if deliveries is None else deliveries).filter(is_due(timezone.now()))
    batch = list(due.order_by("next_attempt_at", "pk").values_list("pk", flat=True)[:BATCH])
    if not batch:
        return
    if start_in_the_middle:
        batch = [*batch[len(batch) // 2 :], *batch[: len(batch) // 2]]
    send_batch(_still_waiting(batch), _deliver_one, _postpone)
    settled = Delivery.objects.filter(pk__in=batch).exclude(state=Delivery.State.WAITING)
    for message_pk in settled.order_by().values_list("message", flat=True).distinct():
        bump_revision(message_pk)  # open threads show the state of its mails below the message


def _still_waiting(batch: Sequence[int]) -> Iterator[int]:
    """Skip what another worker on the same list has settled: a claim in vain would cost a transaction each."""
    for start in range(0, len(batch), CHECK_BATCH):
        part = batch[start : start + CHECK_BATCH]
        deliveries = Delivery.objects.filter(pk__in=part, state=Delivery.State.WAITING)
        waiting = set(deliveries.values_list("pk", flat=True))
        yield from (pk for pk in part if pk in waiting)


def needs_second_worker(message_pk: int) -> bool:
    """Whether the message has so many mails that a second worker should help to send them."""
    return Message.objects.filter(pk=message_pk, addressees__gte=SECOND_WORKER_FROM).exists()


def sweep() -> None:
    """Do everything that should have happened and did not: fan out pending messages, send mails that are due."""
    pending = Message.objects.filter(outcome=Message.Outcome.EMAIL, fanned_out_at=None)
    for pk in pending.order_by("pk").values_list("pk", flat=True)[:BATCH]:
        fan_out(pk)
    deliver()


@transaction.atomic
def _deliver_one(pk: int, connection: BaseEmailBackend) -> None:
    """Claim the delivery by locking it, check access again, send the mail, mark the delivery."""
    claimed = claim(pk)
    if claimed is None:
        return
    reason = _reason_not_to_send(claimed)
    if reason:
        _settle(Delivery.objects.get(pk=pk), Delivery.State.NOT_SENT, reason)
        return
    try:
        send(build_mail_for(claimed.content, claimed.addressee), connection)
    except RefusedError as refusal:
        _record_refusal(Delivery.objects.get(pk=pk), refusal)
    else:
        mark_sent(pk)


def _reason_not_to_send(claimed: Claimed) -> Delivery.Reason | None:
    """Why the mail must not be sent any more, checked just before sending; None: it may be sent."""
    if claimed.is_removed:
        return Delivery.Reason.REMOVED
    if not claimed.has_access:
        topic = Topic.objects.select_related("tenancy", "group").get(pk=claimed.content.topic_pk)
        member = Member.objects.select_related("user").get(pk=claimed.addressee.member_pk)
        return _reason_for_lost_access(topic, member)
    if claimed.is_muted:
        return Delivery.Reason.MUTED
    return Delivery.Reason.AUTHOR if claimed.is_unwanted_own else None


def _postpone(pk: int) -> None:
    """Move the delivery behind all others that are due."""
    Delivery.objects.filter(pk=pk, state=Delivery.State.WAITING).update(next_attempt_at=timezone.now())


def _record_refusal(delivery: Delivery, refusal: RefusedError) -> None:
    now = timezone.now()
    delivery.attempts += 1
    delivery.last_error = str(refusal)[:200]
    if refusal.is_permanent:
        reason = Delivery.Reason.UNUSABLE_ADDRESS if refusal.is_about_the_address else Delivery.Reason.REFUSED
        return _settle(delivery, Delivery.State.FAILED, reason)
    if delivery.attempts >= MAX_ATTEMPTS:
        return _settle(delivery, Delivery.State.FAILED, Delivery.Reason.GAVE_UP)
    delivery.next_attempt_at = now + min(FIRST_RETRY_DELAY * 2 ** (delivery.attempts - 1), MAX_RETRY_DELAY)
    delivery.save(update_fields=["attempts", "last_error", "next_attempt_at"])
    return None


def _settle(delivery: Delivery, state: Delivery.State, reason: Delivery.Reason | str = "") -> None:
    delivery.state = state
    delivery.reason = reason
    delivery.settled_at = timezone.now()
    delivery.save(update_fields=["state", "reason", "settled_at", "attempts", "last_error"])


def _reason_for_lost_access(topic: Topic, member: Member) -> Delivery.Reason:
    """Which part of the access rule keeps the member from reading the topic."""
    causes = [
        (Delivery.Reason.MESSENGER_OFF, not topic.tenancy.messenger_enabled),
        (Delivery.Reason.GROUP_INACTIVE, not topic.group.is_active),
        (Delivery.Reason.TOPIC_INACTIVE, not topic.is_active),
        (Delivery.Reason.MEMBER_INACTIVE, not member.can_enter),
        (Delivery.Reason.LEFT, not GroupMembership.objects.open().filter(group=topic.group_id, member=member).exists()),
    ]
    # None of them applies if the access came back since the claim.
    return next((reason for reason, holds in causes if holds), Delivery.Reason.LOST_ACCESS)
