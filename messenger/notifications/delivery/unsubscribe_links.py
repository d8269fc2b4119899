"""The links in our mails that end mails, and work without sign-in: for mail programs' own button too (RFC 8058)."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.urls import reverse

from messenger.models import Topic
from tenancy.models import Member

_SALT = "messenger.notifications.delivery.unsubscribe_links"
_UNDO_SALT = "messenger.notifications.delivery.unsubscribe_links.undo"
UNDO_WITHIN = timedelta(hours=1)
_CATCH_UPS = 0  # in place of a topic's id


@dataclass(frozen=True)
class MailSubscription:
    """Mails that one member gets: those about one topic, or the catch-up mails (no topic)."""

    member: Member
    topic: Topic | None


def unsubscribe_link(member: Member, topic: Topic | None) -> str:
    """An address that no one can make up; it does not end, for mails are kept for years."""
    return link_with(key_of(member.pk, topic.pk if topic else _CATCH_UPS))


def key_of(member_pk: int, topic_pk: int) -> str:
    return signing.dumps([member_pk, topic_pk], salt=_SALT)


def link_with(key: str) -> str:
    return settings.BASE_URL + reverse("unsubscribe", args=[key])


def find_subscription(key: str) -> MailSubscription:
    """What a link is about. Raises signing.BadSignature for one that nobody was ever mailed."""
    member_pk, topic_pk = signing.loads(key, salt=_SALT)
    member = Member.objects.select_related("user", "tenancy").get(pk=member_pk)
    topic = None if topic_pk == _CATCH_UPS else Topic.objects.get(pk=topic_pk, tenancy=member.tenancy_id)
    return MailSubscription(member, topic)


def undo_of(key: str, rhythm: str) -> str:
    """What the button *Undo* sends: good for an hour, where the mails behind this link were just ended."""
    return signing.dumps([key, rhythm], salt=_UNDO_SALT)


def read_undo(token: str, key: str) -> str:
    """How often catch-up mails came before they were ended. Raises signing.BadSignature for what is no undo of it."""
    for_key, rhythm = signing.loads(token, salt=_UNDO_SALT, max_age=UNDO_WITHIN)
    if for_key != key:
        raise signing.BadSignature
    return str(rhythm)
