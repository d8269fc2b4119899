"""Claims a delivery for sending and checks whether it may be sent, in one statement for each mail.

The lock on its row is the claim. The same statement evaluates the access rule and everything else that can prevent the
mail, and fetches its content, for each mail anew. docs/decisions/0026-mail-merge-and-one-claim-a-mail.md
"""

from datetime import datetime
from typing import NamedTuple

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from common.database.prepared import Prepared, PreparedUpdate
from messenger.models import Delivery, GroupMembership, MailPreference, TopicMute
from messenger.notifications.delivery.mails import Addressee, MailContent


class Claimed(NamedTuple):
    """A delivery that only this worker sends, and everything needed to send it, as of the moment of its lock."""

    is_removed: bool
    has_access: bool
    is_muted: bool
    is_unwanted_own: bool
    content: MailContent
    addressee: Addressee


def is_due(now: datetime) -> Q:
    """A mail without an attempt is always due, so that a clock that was set back does not delay it."""
    return Q(state=Delivery.State.WAITING) & (Q(attempts=0) | Q(next_attempt_at__lte=now))


def _claiming(pk: int, now: datetime) -> QuerySet[Delivery]:
    access = GroupMembership.objects.letting_into(OuterRef("message__topic")).filter(member=OuterRef("member"))
    mutes = TopicMute.objects.filter(topic=OuterRef("message__topic"), member=OuterRef("member"))
    wants_own = MailPreference.objects.filter(member=OuterRef("member"), own_messages=True)
    return (
        Delivery.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(is_due(now), pk=pk)
        .only("pk")  # values_list would lock the rows of all joined tables
        .annotate(
            is_removed=Q(message__removed_at__isnull=False),
            has_access=Exists(access),
            is_muted=Exists(mutes),
            is_unwanted_own=Q(member=F("message__author")) & ~Exists(wants_own),
            **{f"content_{name}": F(path) for name, path in _CONTENT_PATHS.items()},
            **{f"addressee_{name}": F(path) for name, path in _ADDRESSEE_PATHS.items()},
        )
    )


# Where the fields of MailContent and Addressee come from, in the order of these fields.
_CONTENT_PATHS = {
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
_ADDRESSEE_PATHS = {
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
    """Claim a delivery until the end of the transaction, so that a worker that dies releases it.

    Returns None if another worker has claimed it, or if it is no longer due.
    """
    for row in _CLAIM(pk, timezone.now()):
        _, is_removed, has_access, is_muted, is_unwanted_own, *rest = row
        content, addressee = MailContent(*rest[: len(_CONTENT_PATHS)]), Addressee(*rest[len(_CONTENT_PATHS) :])
        return Claimed(is_removed, has_access, is_muted, is_unwanted_own, content, addressee)
    return None


def mark_sent(pk: int) -> None:
    _MARK_SENT.update(pk, timezone.now())
