"""The mails of Messenger, at the level of detail that the tenancy's administrator chose.

The level holds for subject, headers and body alike; identifiers are made of ids, never of names.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from common.mail.mail_merge import MailMerge, MergedMail
from common.mail.sending import build_mail
from messenger.markup.mentions import shown_to
from messenger.models import Message
from messenger.notifications.delivery.unsubscribe_links import key_of, link_with
from messenger.web.links import thread_url
from tenancy.models import MailDetail, Member


class MailContent(NamedTuple):
    """All that a mail about a message says, whoever gets it."""

    message_pk: int
    body: str
    body_html: str
    posted_at: datetime
    author: str
    topic_pk: int
    topic: str
    slug: str  # of the tenancy
    detail: str  # of MailDetail


class Addressee(NamedTuple):
    member_pk: int
    email: str
    language: str
    time_zone: str


def message_mail(message: Message, member: Member) -> MergedMail:
    """The mail that tells one member of one message, in their language and time zone."""
    topic, tenancy = message.topic, member.tenancy
    told = MailContent(
        message_pk=message.pk,
        body=message.body,
        body_html=message.body_html,
        posted_at=message.posted_at,
        author=message.author.name,
        topic_pk=topic.pk,
        topic=topic.name,
        slug=tenancy.slug,
        detail=tenancy.mail_detail,
    )
    return build_mail_for(told, addressee_of(member))


def build_mail_for(told: MailContent, addressee: Addressee) -> MergedMail:
    """The same, of what is known already."""
    own = told._replace(body_html=shown_to(addressee.member_pk, told.body_html))
    return _letter(own, addressee.language, addressee.time_zone).fill(
        addressee.email,
        {
            # The same for every attempt, so that a mail sent twice is shown once.
            "message_id": f"message-{told.message_pk}-{addressee.member_pk}@messenger.{mail_domain()}",
            "key": key_of(addressee.member_pk, told.topic_pk),
        },
    )


# For the few messages that are being mailed, in the languages and zones of their readers.
@lru_cache(maxsize=200)
def _letter(told: MailContent, language: str, time_zone: str) -> MailMerge:
    host = mail_domain()
    thread = f"<topic-{told.topic_pk}@messenger.{host}>"

    def write(to: str, words: Mapping[str, str]) -> EmailMultiAlternatives:
        return build_messenger_mail(
            "messenger/notifications/mails/new_message",
            Addressee(0, to, language, time_zone),
            told.slug,
            # The same for all messages of a topic: mail programs that go by it keep them together.
            subject=lambda: (
                _("New message in IPPEX Cloud Messenger")
                if told.detail == MailDetail.MINIMAL
                else _("Messenger: %(topic)s") % {"topic": told.topic}
            ),
            context={
                "author": told.author,
                "posted_at": told.posted_at,
                "body": told.body,
                "body_html": mark_safe(told.body_html),  # noqa: S308  (sanitised when it was written)
                "topic": told.topic,
                "names_topic": told.detail != MailDetail.MINIMAL,
                "holds_text": told.detail == MailDetail.FULL_TEXT,
                "link": settings.BASE_URL + thread_url(told.slug, told.topic_pk),
            },
            stop=link_with(words["key"]),
            headers={
                "Message-ID": f"<{words['message_id']}>",
                # One root a topic, never sent: what hangs on it is one conversation, whichever mails one got.
                "In-Reply-To": thread,
                "References": thread,
                "List-Id": f"<topic-{told.topic_pk}.messenger.{host}>",
            },
        )

    return MailMerge(("message_id", "key"), write)


clear_mail_cache = _letter.cache_clear


def build_messenger_mail(
    template: str,
    addressee: Addressee,
    slug: str,
    *,
    subject: Callable[[], str],
    context: dict[str, Any],
    stop: str,
    headers: dict[str, str],
) -> EmailMultiAlternatives:
    with translation.override(addressee.language):
        words = subject()
    return build_mail(
        template,
        addressee.email,
        words,
        {
            **context,
            "preferences_link": settings.BASE_URL + reverse("messenger:preferences", args=[slug]),
            "stop_link": stop,
        },
        language=addressee.language,
        time_zone=addressee.time_zone,
        # RFC 8058: a mail program's own button sends a POST there, without asking.
        headers={**headers, "List-Unsubscribe": f"<{stop}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    )


def addressee_of(member: Member) -> Addressee:
    user = member.user
    return Addressee(member.pk, user.email, user.language, user.time_zone)


def mail_domain() -> str:
    host = urlsplit(settings.BASE_URL).hostname or "localhost"
    return host.replace(":", "-")  # of an IPv6 address no identifier of a mail can be made
