"""Unsubscribe links: they work without sign-in, also for the unsubscribe button of mail programs (RFC 8058)."""

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
_CATCH_UPS = 0  # stands for the catch-up mails in place of a topic's id


@dataclass(frozen=True)
class MailSubscription:
    """One kind of mail that a member gets."""

    member: Member
    topic: Topic | None  # None: the catch-up mails


def unsubscribe_link(member: Member, topic: Topic | None) -> str:
    """A signed link that ends the mails about a topic, or the catch-up mails if `topic` is None.

    It never expires, because people keep mails for years.
    """
    return link_for_key(make_key(member.pk, topic.pk if topic else _CATCH_UPS))


def make_key(member_pk: int, topic_pk: int) -> str:
    return signing.dumps([member_pk, topic_pk], salt=_SALT)


def link_for_key(key: str) -> str:
    return settings.BASE_URL + reverse("unsubscribe", args=[key])


def find_subscription(key: str) -> MailSubscription:
    """The subscription that a link is about.

    Raises signing.BadSignature for a key that we did not sign, and ObjectDoesNotExist if there is no such member or no
    such topic in their tenancy.
    """
    member_pk, topic_pk = signing.loads(key, salt=_SALT)
    member = Member.objects.select_related("user", "tenancy").get(pk=member_pk)
    topic = None if topic_pk == _CATCH_UPS else Topic.objects.get(pk=topic_pk, tenancy=member.tenancy_id)
    return MailSubscription(member, topic)


def make_undo_token(key: str, frequency: str) -> str:
    """The token of the *Undo* button, valid for an hour and for this key; `frequency` is of MailPreference.CatchUp."""
    return signing.dumps([key, frequency], salt=_UNDO_SALT)


def read_undo_token(token: str, key: str) -> str:
    """The frequency of catch-up mails in the token. Raises signing.BadSignature if it is expired or for another key."""
    for_key, frequency = signing.loads(token, salt=_UNDO_SALT, max_age=UNDO_WITHIN)
    if for_key != key:
        raise signing.BadSignature
    return str(frequency)
