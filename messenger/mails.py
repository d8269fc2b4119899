"""The mails of Messenger, at the level of detail that the tenancy's administrator chose.

The level holds for subject, headers and body alike; identifiers are made of ids, never of names.
"""

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from ippex_messenger.mails import build_mail
from messenger.mentions import shown_to
from messenger.models import Message, Topic
from messenger.unsubscribe import unsubscribe_link
from tenancy.models import MailDetail, Member

if TYPE_CHECKING:
    from messenger.catch_up import Missed


def message_mail(message: Message, member: Member) -> EmailMultiAlternatives:
    """The mail that tells one member of one message, in their language and time zone."""
    topic = message.topic
    host = _mail_domain()
    thread = f"<topic-{topic.pk}@messenger.{host}>"
    return _build(
        "messenger/mails/new_message",
        member,
        # The same for all messages of a topic: mail programs that go by it keep them together.
        subject=lambda: _("New message in IPPEX Cloud Messenger") if _is_minimal(member) else _in_messenger(topic),
        context={
            "message": message,
            "body_html": mark_safe(shown_to(member.pk, message.body_html)),  # noqa: S308  (sanitised when it was written)
            "topic": topic,
            "link": settings.BASE_URL + reverse("messenger:thread", args=[member.tenancy.slug, topic.pk]),
        },
        stop=unsubscribe_link(member, topic),
        headers={
            # The same for every attempt, so that a mail sent twice is shown once.
            "Message-ID": f"<message-{message.pk}-{member.pk}@messenger.{host}>",
            # One root a topic, never sent: what hangs on it is one conversation, whichever mails one got.
            "In-Reply-To": thread,
            "References": thread,
            "List-Id": f"<topic-{topic.pk}.messenger.{host}>",
        },
    )


def catch_up_mail(member: Member, day: date, missed: Collection["Missed"]) -> EmailMultiAlternatives:
    """The mail that tells one member how much they missed: counts and links only."""
    host = _mail_domain()
    messenger = settings.BASE_URL + reverse("messenger:topics", args=[member.tenancy.slug])
    return _build(
        "messenger/mails/catch_up",
        member,
        subject=lambda: _("Unread messages in IPPEX Cloud Messenger"),
        context={
            "count": sum(one.messages for one in missed),
            "topics": [(one, f"{messenger}topics/{one.topic.pk}/") for one in missed],
            "link": messenger,
        },
        stop=unsubscribe_link(member, None),
        headers={
            "Message-ID": f"<catch-up-{member.pk}-{day:%Y%m%d}@messenger.{host}>",
            "List-Id": f"<catch-up.messenger.{host}>",
        },
    )


def _build(
    template: str,
    member: Member,
    *,
    subject: Any,
    context: dict[str, Any],
    stop: str,
    headers: dict[str, str],
) -> EmailMultiAlternatives:
    user = member.user
    with translation.override(user.language):
        words = subject()
    return build_mail(
        template,
        user.email,
        words,
        {
            **context,
            "names_topic": not _is_minimal(member),
            "holds_text": member.tenancy.mail_detail == MailDetail.FULL_TEXT,
            "preferences_link": settings.BASE_URL + reverse("messenger:preferences", args=[member.tenancy.slug]),
            "stop_link": stop,
        },
        language=user.language,
        time_zone=user.time_zone,
        # RFC 8058: a mail program's own button sends a POST there, without asking.
        headers={**headers, "List-Unsubscribe": f"<{stop}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    )


def _is_minimal(member: Member) -> bool:
    return member.tenancy.mail_detail == MailDetail.MINIMAL


def _in_messenger(topic: Topic) -> str:
    return _("Messenger: %(topic)s") % {"topic": topic.name}


def _mail_domain() -> str:
    host = urlsplit(settings.BASE_URL).hostname or "localhost"
    return host.replace(":", "-")  # of an IPv6 address no identifier of a mail can be made
