"""From decisions to mails: the truth is in these rows, whatever becomes of the queue.

`fan_out` writes one delivery per member, `deliver` sends what is due, `sweep` finds what no hint reached.
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

# A refusal that may pass: the waits between attempts double from one minute.
FIRST_RETRY = timedelta(minutes=1)
LAST_RETRY = timedelta(hours=4)
MOST_ATTEMPTS = 14  # with these waits, a day after the first
# How many rows one run takes on; each is sent in a transaction of its own.
BATCH = 5_000
INSERTED_AT_ONCE = 500
ASKED_AT_ONCE = 100
WORTH_TWO = 500  # mails


def fan_out(message_pk: int) -> None:
    """Write a delivery for everyone who was in the group when the message was posted; again is harmless.

    Whoever changes what this depends on (who is active, mutes, wants their own messages) has it done
    first (cancellation.py), so that it is decided as things were when the message was posted.
    """
    with transaction.atomic():
        message = (
            Message.objects.select_for_update(no_key=True)
            .filter(pk=message_pk, outcome=Message.Outcome.EMAIL, fanned_out_at=None)
            .first()
        )
        if message is None:
            # Who waited for the row holds it now, fanned out or not: kept on to the end of a caller's transaction,
            # it would be locked before its topic, and deadlock with `touch`.
            transaction.set_rollback(True)
            return
        now = timezone.now()
        members = members_at(message).annotate(exclusion=exclusion(message.topic_id, message.author_id))
        deliveries = [_delivery(message, pk, reason, now) for pk, reason in members.values_list("pk", "exclusion")]
        Delivery.objects.bulk_create(deliveries, ignore_conflicts=True, batch_size=INSERTED_AT_ONCE)
        message.fanned_out_at = now
        message.addressees = sum(not delivery.reason for delivery in deliveries)
        message.save(update_fields=["fanned_out_at", "addressees"])


def _delivery(message: Message, member_pk: int, exclusion: str, now: datetime) -> Delivery:
    """A mail that is to be sent; with an exclusion, the record that none is."""
    return Delivery(
        tenancy_id=message.tenancy_id,
        message=message,
        member_id=member_pk,
        state=Delivery.State.NOT_SENT if exclusion else Delivery.State.WAITING,
        reason=exclusion,
        next_attempt_at=None if exclusion else now,
        settled_at=now if exclusion else None,
    )


def deliver(deliveries: QuerySet[Delivery] | None = None, *, from_the_middle: bool = False) -> None:
    """Send what is due, one addressee a mail over one connection.

    Trouble with the connection or the server ends the run and is nobody's attempt: all of it stays due,
    and the sweeper comes back within seconds. From the middle: for who helps another that begins with the first.
    """
    due = (Delivery.objects.all() if deliveries is None else deliveries).filter(is_due(timezone.now()))
    batch = list(due.order_by("next_attempt_at", "pk").values_list("pk", flat=True)[:BATCH])
    if not batch:
        return
    if from_the_middle:
        batch = [*batch[len(batch) // 2 :], *batch[: len(batch) // 2]]
    send_batch(_not_settled_meanwhile(batch), _deliver_one, _postpone)
    settled = Delivery.objects.filter(pk__in=batch).exclude(state=Delivery.State.WAITING)
    for message_pk in settled.order_by().values_list("message", flat=True).distinct():
        bump_revision(message_pk)  # open threads say below the message what became of it


def _not_settled_meanwhile(batch: Sequence[int]) -> Iterator[int]:
    """Several may walk the same list. Asked for many at a time, for a claim in vain costs a transaction."""
    for start in range(0, len(batch), ASKED_AT_ONCE):
        ahead = batch[start : start + ASKED_AT_ONCE]
        waiting = Delivery.objects.filter(pk__in=ahead, state=Delivery.State.WAITING)
        still_waiting = set(waiting.values_list("pk", flat=True))
        yield from (pk for pk in ahead if pk in still_waiting)


def is_worth_two(message_pk: int) -> bool:
    """Whether a message has so many mails that a second worker should help to send them."""
    return Message.objects.filter(pk=message_pk, addressees__gte=WORTH_TWO).exists()


def sweep() -> None:
    """Everything that should have happened and did not: decisions not fanned out, mails due."""
    to_fan_out = Message.objects.filter(outcome=Message.Outcome.EMAIL, fanned_out_at=None)
    for pk in to_fan_out.order_by("pk").values_list("pk", flat=True)[:BATCH]:
        fan_out(pk)
    deliver()


@transaction.atomic
def _deliver_one(pk: int, connection: BaseEmailBackend) -> None:
    """Claim by lock, check access again, send, mark."""
    claimed = claim(pk)
    if claimed is None:
        return
    objection = _objection(claimed)
    if objection:
        _settle(Delivery.objects.get(pk=pk), Delivery.State.NOT_SENT, objection)
        return
    try:
        send(build_mail_for(claimed.told, claimed.addressee), connection)
    except RefusedError as refusal:
        _note_refusal(Delivery.objects.get(pk=pk), refusal)
    else:
        mark_sent(pk)


def _objection(claimed: Claimed) -> Delivery.Reason | None:
    """Why the mail must not go out any more; asked just before it would."""
    if claimed.is_removed:
        return Delivery.Reason.REMOVED
    if not claimed.has_access:
        topic = Topic.objects.select_related("tenancy", "group").get(pk=claimed.told.topic_pk)
        return why_without_access(topic, Member.objects.select_related("user").get(pk=claimed.addressee.member_pk))
    if claimed.is_muted:
        return Delivery.Reason.MUTED
    return Delivery.Reason.AUTHOR if claimed.is_unwanted_own else None


def _postpone(pk: int) -> None:
    Delivery.objects.filter(pk=pk, state=Delivery.State.WAITING).update(next_attempt_at=timezone.now())


def _note_refusal(delivery: Delivery, refusal: RefusedError) -> None:
    now = timezone.now()
    delivery.attempts += 1
    delivery.last_error = str(refusal)[:200]
    if refusal.is_permanent:
        reason = Delivery.Reason.UNUSABLE_ADDRESS if refusal.is_about_the_address else Delivery.Reason.REFUSED
        return _settle(delivery, Delivery.State.FAILED, reason)
    if delivery.attempts >= MOST_ATTEMPTS:
        return _settle(delivery, Delivery.State.FAILED, Delivery.Reason.GAVE_UP)
    delivery.next_attempt_at = now + min(FIRST_RETRY * 2 ** (delivery.attempts - 1), LAST_RETRY)
    delivery.save(update_fields=["attempts", "last_error", "next_attempt_at"])
    return None


def _settle(delivery: Delivery, state: Delivery.State, reason: Delivery.Reason | str = "") -> None:
    delivery.state = state
    delivery.reason = reason
    delivery.settled_at = timezone.now()
    delivery.save(update_fields=["state", "reason", "settled_at", "attempts", "last_error"])


def why_without_access(topic: Topic, member: Member) -> Delivery.Reason:
    """In one word, for the record, what keeps a member who has lost a topic from reading it."""
    causes = [
        (Delivery.Reason.MESSENGER_OFF, not topic.tenancy.messenger_enabled),
        (Delivery.Reason.GROUP_INACTIVE, not topic.group.is_active),
        (Delivery.Reason.TOPIC_INACTIVE, not topic.is_active),
        (Delivery.Reason.MEMBER_INACTIVE, not member.can_enter),
        (Delivery.Reason.LEFT, not GroupMembership.objects.open().filter(group=topic.group_id, member=member).exists()),
    ]
    # None holds where the access came back in between the two questions.
    return next((reason for reason, holds in causes if holds), Delivery.Reason.LOST_ACCESS)
