"""Sends catch-up mails: in the morning, to members who want them, about unread messages that they got no e-mail about.

Each message counts in at most one catch-up mail, and none is sent if nothing is unread.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import Exists, F, Max, Min, OuterRef, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Greatest, Least
from django.utils import timezone

from common.mail.sending import RefusedError, send, send_batch
from messenger.models import CatchUp, CatchUpTopic, Delivery, MailPreference, Message, ReadPosition, Topic, TopicMute
from messenger.notifications.catch_up.mail import UnreadTopic, catch_up_mail
from messenger.notifications.catch_up.schedule import is_too_early, next_catch_up
from messenger.reading.annotations import CountUpToMax, unread_messages
from tenancy.models import Member

RETRY_AFTER = timedelta(minutes=10)
MAX_ATTEMPTS = 12  # two hours; the next mail is due the next morning
# Mails per run: many members have the same morning, and mails about new messages go through the same workers.
BATCH = 200


def send_due() -> None:
    """Send the catch-up mails that are due, one mail per addressee over one connection."""
    due = MailPreference.objects.filter(next_catch_up_at__lte=timezone.now())
    batch = due.order_by("next_catch_up_at", "pk").values_list("pk", flat=True)[:BATCH]
    send_batch(list(batch), _send_one, _postpone)


def unread_topics_of(member: Member) -> list[UnreadTopic]:
    """The topics, without muted ones, with messages that this member has not read and got no mail about.

    A message whose mail is pending, and all later ones of its topic, are left to the next morning.
    """
    read = ReadPosition.objects.filter(member=member, topic=OuterRef("pk")).values("sequence")
    counted = CatchUpTopic.objects.filter(
        topic=OuterRef("pk"), catch_up__member=member, catch_up__state=CatchUp.State.SENT
    )
    counted_up_to = counted.order_by().values("topic").annotate(last=Max("up_to_sequence")).values("last")
    mailed = Delivery.objects.filter(message=OuterRef("pk"), member=member, state=Delivery.State.SENT)
    unread = unread_messages(member, after="after").filter(sequence__lte=OuterRef("up_to")).exclude(Exists(mailed))
    topics = (
        Topic.objects.visible_to(member)
        .exclude(Exists(TopicMute.objects.filter(topic=OuterRef("pk"), member=member)))
        .annotate(after=Greatest(Coalesce(Subquery(read), 0), Coalesce(Subquery(counted_up_to), 0)))
        .annotate(up_to=Least("last_sequence", *_before_pending_mails(member)))
        .filter(up_to__gt=F("after"))
        .annotate(unread=CountUpToMax(unread))
        .select_related("group")
        .latest_first()
    )
    annotated: Iterable[Any] = topics
    # Not filtered by the database: it would count twice.
    return [UnreadTopic(topic, topic.after, topic.up_to, topic.unread) for topic in annotated if topic.unread]


def _before_pending_mails(member: Member) -> list[Combinable]:
    """The sequence numbers before the first message of a topic whose mail is waiting, or is still to be written.

    Null if there is no such mail. If a pending message were counted, the member could get two mails about it; if it
    were skipped, there would be no mail about it at all should its own mail fail.
    """
    waiting = Delivery.objects.filter(
        member=member,
        state=Delivery.State.WAITING,
        message__topic=OuterRef("pk"),
        message__sequence__gt=OuterRef("after"),
    )
    not_fanned_out = Message.objects.filter(
        topic=OuterRef("pk"), outcome=Message.Outcome.EMAIL, fanned_out_at=None, sequence__gt=OuterRef("after")
    )
    first_pending = [
        waiting.order_by().values("message__topic").annotate(first=Min("message__sequence")),
        not_fanned_out.order_by().values("topic").annotate(first=Min("sequence")),
    ]
    return [Subquery(rows.values("first")) - 1 for rows in first_pending]


@transaction.atomic
def _send_one(pk: int, connection: BaseEmailBackend) -> None:
    """Claim the preference by locking it, count what is unread now, send, record, and schedule the next morning."""
    preference = (
        MailPreference.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("member__user", "member__tenancy")
        .filter(pk=pk, next_catch_up_at__lte=timezone.now())
        .first()
    )
    if preference is None:
        return
    member = preference.member
    unread = unread_topics_of(member) if _is_due_today(preference) else []
    if unread:
        try:
            send(catch_up_mail(member, _today(member), unread), connection)
        except RefusedError as refusal:
            preference.catch_up_attempts += 1
            if not refusal.is_permanent and preference.catch_up_attempts < MAX_ATTEMPTS:
                preference.next_catch_up_at = timezone.now() + RETRY_AFTER
                preference.save(update_fields=["next_catch_up_at", "catch_up_attempts"])
                return
            _record(member, unread, CatchUp.State.FAILED, str(refusal)[:200])
        else:
            _record(member, unread, CatchUp.State.SENT)
    preference.next_catch_up_at = next_catch_up(preference)
    preference.catch_up_attempts = 0
    preference.save(update_fields=["next_catch_up_at", "catch_up_attempts"])


def _is_due_today(preference: MailPreference) -> bool:
    """Whether it is late enough in the member's time zone, which may have changed, and today had no mail yet."""
    zone = ZoneInfo(preference.member.user.time_zone)
    if is_too_early(timezone.now(), zone, preference.catch_up == MailPreference.CatchUp.WEEKDAYS):
        return False
    return not CatchUp.objects.filter(member=preference.member, day=_today(preference.member)).exists()


def _today(member: Member) -> date:
    return timezone.localdate(timezone=ZoneInfo(member.user.time_zone))


def _record(member: Member, unread: list[UnreadTopic], state: CatchUp.State, error: str = "") -> None:
    catch_up = CatchUp.objects.create(
        tenancy=member.tenancy,
        member=member,
        day=_today(member),
        state=state,
        last_error=error,
        settled_at=timezone.now(),
    )
    CatchUpTopic.objects.bulk_create(
        CatchUpTopic(
            tenancy=member.tenancy,
            catch_up=catch_up,
            topic=entry.topic,
            after_sequence=entry.after,
            up_to_sequence=entry.up_to,
            messages=entry.messages,
        )
        for entry in unread
    )


def _postpone(pk: int) -> None:
    """Move this mail behind all others that are due."""
    MailPreference.objects.filter(pk=pk, next_catch_up_at__lte=timezone.now()).update(next_catch_up_at=timezone.now())
