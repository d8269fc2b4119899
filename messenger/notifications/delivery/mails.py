"""The mails of Messenger, at the level of detail that the tenancy's administrator chose.

The level applies to subject, headers and body alike. Identifiers contain ids, never names.
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
from messenger.markup.directions import direction_of
from messenger.markup.mentions import shown_to
from messenger.models import Message
from messenger.notifications.delivery.unsubscribe_links import link_for_key, make_key
from messenger.web.links import thread_url
from tenancy.models import MailDetail, Member


class MailContent(NamedTuple):
    """Everything that a mail about a message contains, the same for all of its recipients."""

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
    """The mail about a message to one member, in their language and time zone."""
    topic, tenancy = message.topic, member.tenancy
    content = MailContent(
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
    return build_mail_for(content, addressee_of(member))


def build_mail_for(content: MailContent, addressee: Addressee) -> MergedMail:
    """As `message_mail`, without queries."""
    own = content._replace(body_html=shown_to(addressee.member_pk, content.body_html))
    return _mail_merge(own, addressee.language, addressee.time_zone).fill(
        addressee.email,
        {
            # The same in every attempt, so that mail programs show a mail that was sent twice only once.
            "message_id": f"message-{content.message_pk}-{addressee.member_pk}@messenger.{mail_domain()}",
            "key": make_key(addressee.member_pk, content.topic_pk),
        },
    )


# Enough for the few messages that are being sent at any time, in the languages and time zones of their readers.
@lru_cache(maxsize=200)
def _mail_merge(content: MailContent, language: str, time_zone: str) -> MailMerge:
    host = mail_domain()
    thread = f"<topic-{content.topic_pk}@messenger.{host}>"

    def build(to: str, fields: Mapping[str, str]) -> EmailMultiAlternatives:
        return build_messenger_mail(
            "messenger/notifications/mails/new_message",
            Addressee(0, to, language, time_zone),
            content.slug,
            # The same for all messages of a topic, for mail programs that group by subject.
            subject=lambda: (
                _("New message in IPPEX Cloud Messenger")
                if content.detail == MailDetail.MINIMAL
                else _("Messenger: %(topic)s") % {"topic": content.topic}
            ),
            context={
                "author": content.author,
                "posted_at": content.posted_at,
                "body": content.body,
                "body_html": mark_safe(content.body_html),  # noqa: S308  (sanitised when it was written)
                "body_direction": direction_of(content.body) or "auto",
                "topic": content.topic,
                "names_topic": content.detail != MailDetail.MINIMAL,
                "holds_text": content.detail == MailDetail.FULL_TEXT,
                "link": settings.BASE_URL + thread_url(content.slug, content.topic_pk),
            },
            unsubscribe_url=link_for_key(fields["key"]),
            headers={
                "Message-ID": f"<{fields['message_id']}>",
                # All mails of a topic reply to one root that is never sent. So they are one conversation, even for a
                # reader who did not get all of them.
                "In-Reply-To": thread,
                "References": thread,
                "List-Id": f"<topic-{content.topic_pk}.messenger.{host}>",
            },
        )

    return MailMerge(("message_id", "key"), build)


clear_mail_cache = _mail_merge.cache_clear


def build_messenger_mail(
    template: str,
    addressee: Addressee,
    slug: str,
    *,
    subject: Callable[[], str],
    context: dict[str, Any],
    unsubscribe_url: str,
    headers: dict[str, str],
) -> EmailMultiAlternatives:
    """A mail with what all of Messenger's mails have in common; `subject` is called in the addressee's language."""
    with translation.override(addressee.language):
        translated_subject = subject()
    return build_mail(
        template,
        addressee.email,
        translated_subject,
        {
            **context,
            "preferences_link": settings.BASE_URL + reverse("messenger:preferences", args=[slug]),
            "stop_link": unsubscribe_url,
        },
        language=addressee.language,
        time_zone=addressee.time_zone,
        # RFC 8058: the unsubscribe button of a mail program sends a POST there, without a confirmation.
        headers={
            **headers,
            "List-Unsubscribe": f"<{unsubscribe_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    )


def addressee_of(member: Member) -> Addressee:
    user = member.user
    return Addressee(member.pk, user.email, user.language, user.time_zone)


def mail_domain() -> str:
    host = urlsplit(settings.BASE_URL).hostname or "localhost"
    return host.replace(":", "-")  # an IPv6 address is not valid in a Message-ID
