"""The catch-up mail: in the morning of a member who wants it, what they have not read and were never e-mailed.

Each message counts in one catch-up mail at most; never is one sent when all is read.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import Count, Exists, F, Max, Min, OuterRef, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Greatest, Least
from django.utils import timezone

from common.mail.sending import RefusedError, send, send_batch
from messenger.models import CatchUp, CatchUpTopic, Delivery, MailPreference, Message, ReadPosition, Topic, TopicMute
from messenger.notifications.catch_up.mail import UnreadTopic, catch_up_mail
from messenger.notifications.catch_up.schedule import is_too_early, next_catch_up
from tenancy.models import Member

RETRY_AFTER = timedelta(minutes=10)
MOST_ATTEMPTS = 12  # until noon; tomorrow is another morning
# How many one run sends: it is the same morning for many, and mails about new messages go through the same workers.
AT_ONCE = 200


def send_due() -> None:
    """Send the catch-up mails whose morning has come, one addressee a mail over one connection."""
    due = MailPreference.objects.filter(next_catch_up_at__lte=timezone.now())
    batch = due.order_by("next_catch_up_at", "pk").values_list("pk", flat=True)[:AT_ONCE]
    send_batch(list(batch), _send_one, _postpone)


def unread_topics_of(member: Member) -> list[UnreadTopic]:
    """The topics with messages that this member has neither read, nor muted, nor been told of by mail.

    Messages after one whose mail is on its way are left to the next morning.
    """
    read = ReadPosition.objects.filter(member=member, topic=OuterRef("pk")).values("sequence")
    told = CatchUpTopic.objects.filter(
        topic=OuterRef("pk"), catch_up__member=member, catch_up__state=CatchUp.State.SENT
    )
    told_up_to = told.order_by().values("topic").annotate(last=Max("up_to_sequence")).values("last")
    mailed = Delivery.objects.filter(message=OuterRef("pk"), member=member, state=Delivery.State.SENT)
    unread = (
        Message.objects.filter(topic=OuterRef("pk"), sequence__gt=OuterRef("after"), sequence__lte=OuterRef("up_to"))
        .filter(removed_at=None)
        .exclude(author=member)
        .exclude(Exists(mailed))
        .order_by()
        .values("topic")
        .annotate(count=Count("pk"))
    )
    topics = (
        Topic.objects.visible_to(member)
        .exclude(Exists(TopicMute.objects.filter(topic=OuterRef("pk"), member=member)))
        .annotate(after=Greatest(Coalesce(Subquery(read), 0), Coalesce(Subquery(told_up_to), 0)))
        .annotate(up_to=Least("last_sequence", *_before_what_is_on_its_way(member)))
        .filter(up_to__gt=F("after"))
        .annotate(unread=Subquery(unread.values("count")))
        .select_related("group")
        .latest_first()
    )
    annotated: Iterable[Any] = topics
    # Not as a filter: the database would count twice.
    return [UnreadTopic(topic, topic.after, topic.up_to, topic.unread) for topic in annotated if topic.unread]


def _before_what_is_on_its_way(member: Member) -> list[Combinable]:
    """Of a topic, the last messages before a mail that this member may still get; null where there is none.

    Counted with what was not mailed, such a message could be told of twice; passed over, never, should its mail fail.
    """
    waiting = Delivery.objects.filter(
        member=member,
        state=Delivery.State.WAITING,
        message__topic=OuterRef("pk"),
        message__sequence__gt=OuterRef("after"),
    )
    unwritten = Message.objects.filter(
        topic=OuterRef("pk"), outcome=Message.Outcome.EMAIL, fanned_out_at=None, sequence__gt=OuterRef("after")
    )
    of_topic = [
        waiting.order_by().values("message__topic").annotate(first=Min("message__sequence")),
        unwritten.order_by().values("topic").annotate(first=Min("sequence")),
    ]
    return [Subquery(rows.values("first")) - 1 for rows in of_topic]


@transaction.atomic
def _send_one(pk: int, connection: BaseEmailBackend) -> None:
    """Claim by lock, look what is unread now, send, record, and wait for the next morning."""
    choice = (
        MailPreference.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("member__user", "member__tenancy")
        .filter(pk=pk, next_catch_up_at__lte=timezone.now())
        .first()
    )
    if choice is None:
        return
    missed = unread_topics_of(choice.member) if _is_time_for(choice) else []
    if missed:
        try:
            send(catch_up_mail(choice.member, _today(choice.member), missed), connection)
        except RefusedError as refusal:
            choice.catch_up_attempts += 1
            if not refusal.is_permanent and choice.catch_up_attempts < MOST_ATTEMPTS:
                choice.next_catch_up_at = timezone.now() + RETRY_AFTER
                choice.save(update_fields=["next_catch_up_at", "catch_up_attempts"])
                return
            _record(choice.member, missed, CatchUp.State.FAILED, str(refusal)[:200])
        else:
            _record(choice.member, missed, CatchUp.State.SENT)
    choice.next_catch_up_at = next_catch_up(choice)
    choice.catch_up_attempts = 0
    choice.save(update_fields=["next_catch_up_at", "catch_up_attempts"])


def _is_time_for(choice: MailPreference) -> bool:
    """Whether it is morning there (the time zone may have changed since), of a day that had none yet."""
    zone = ZoneInfo(choice.member.user.time_zone)
    if is_too_early(timezone.now(), zone, choice.catch_up == MailPreference.CatchUp.WEEKDAYS):
        return False
    return not CatchUp.objects.filter(member=choice.member, day=_today(choice.member)).exists()


def _today(member: Member) -> date:
    return timezone.localdate(timezone=ZoneInfo(member.user.time_zone))


def _record(member: Member, missed: list[UnreadTopic], state: CatchUp.State, error: str = "") -> None:
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
            topic=one.topic,
            after_sequence=one.after,
            up_to_sequence=one.up_to,
            messages=one.messages,
        )
        for one in missed
    )


def _postpone(pk: int) -> None:
    MailPreference.objects.filter(pk=pk, next_catch_up_at__lte=timezone.now()).update(next_catch_up_at=timezone.now())
