"""A delivery claimed to be sent, with all that is asked before it is: one statement for each mail.

The lock of its row is the claim. The access rule and everything else that may keep the mail back is asked in the same
statement, anew for each mail; so is what the mail says. docs/decisions/0026-mail-merge-and-one-claim-a-mail.md
"""

from datetime import datetime
from typing import NamedTuple

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from common.database.prepared import Prepared, PreparedUpdate
from messenger.models import Delivery, GroupMembership, MailPreference, TopicMute
from messenger.notifications.delivery.mails import Addressee, MailContent


class Claimed(NamedTuple):
    """A delivery that nobody else sends now, with all that there is to know for sending it, as of its lock."""

    is_removed: bool
    has_access: bool
    is_muted: bool
    is_unwanted_own: bool
    told: MailContent
    addressee: Addressee


def is_due(now: datetime) -> Q:
    """A mail that was not tried yet is due at any time: a clock that is set back holds up none of them."""
    return Q(state=Delivery.State.WAITING) & (Q(attempts=0) | Q(next_attempt_at__lte=now))


def _claiming(pk: int, now: datetime) -> QuerySet[Delivery]:
    access = GroupMembership.objects.letting_into(OuterRef("message__topic")).filter(member=OuterRef("member"))
    mutes = TopicMute.objects.filter(topic=OuterRef("message__topic"), member=OuterRef("member"))
    wants_own = MailPreference.objects.filter(member=OuterRef("member"), own_messages=True)
    return (
        Delivery.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(is_due(now), pk=pk)
        .only("pk")  # not values_list, which would lock the rows of all these tables
        .annotate(
            is_removed=Q(message__removed_at__isnull=False),
            has_access=Exists(access),
            is_muted=Exists(mutes),
            is_unwanted_own=Q(member=F("message__author")) & ~Exists(wants_own),
            **{f"told_{name}": F(path) for name, path in _TOLD.items()},
            **{f"addressee_{name}": F(path) for name, path in _ADDRESSEE.items()},
        )
    )


_TOLD = {
    "message_pk": "message_id",
    "body": "message__body",
    "body_html": "message__body_html",
    "posted_at": "message__posted_at",
    "author": "message__author__name",
    "topic_pk": "message__topic_id",
    "topic": "message__topic__name",
    "slug": "message__tenancy__slug",
    "detail": "message__tenancy__mail_detail",
}
_ADDRESSEE = {
    "member_pk": "member_id",
    "email": "member__user__email",
    "language": "member__user__language",
    "time_zone": "member__user__time_zone",
}
_CLAIM = Prepared("claim_delivery", _claiming, "bigint", "timestamptz")
_MARK_SENT = PreparedUpdate(
    "delivery_sent",
    lambda pk, now: (Delivery.objects.filter(pk=pk), {"state": Delivery.State.SENT, "settled_at": now}),
    "bigint",
    "timestamptz",
)


def claim(pk: int) -> Claimed | None:
    """Until the transaction ends: a worker that dies lets go of it. None: another has it, or it is due no more."""
    for row in _CLAIM(pk, timezone.now()):
        _, is_removed, has_access, is_muted, is_unwanted_own, *rest = row
        told, addressee = MailContent(*rest[: len(_TOLD)]), Addressee(*rest[len(_TOLD) :])
        return Claimed(is_removed, has_access, is_muted, is_unwanted_own, told, addressee)
    return None


def mark_sent(pk: int) -> None:
    _MARK_SENT(pk, timezone.now())
