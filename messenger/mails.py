"""The mail about a new message. Minimal: that there is one, and where; no topic, no names, no text."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from ippex_messenger.mails import build_mail
from messenger.models import Message, Topic
from tenancy.models import Member


def message_mail(message: Message, member: Member) -> EmailMultiAlternatives:
    """The mail that tells one member of one message, in their language and time zone."""
    slug = member.tenancy.slug
    with translation.override(member.user.language):
        subject = _("New message in Messenger")
    return build_mail(
        "messenger/mails/new_message",
        member.user.email,
        subject,
        {
            "message": message,
            "link": settings.BASE_URL + reverse("messenger:thread", args=[slug, message.topic_id]),
            "preferences_link": settings.BASE_URL + reverse("messenger:preferences", args=[slug]),
        },
        language=member.user.language,
        time_zone=member.user.time_zone,
        # The same for every attempt, so that a mail sent twice is shown once; ids only, never names.
        headers={"Message-ID": f"<message-{message.pk}-{member.pk}@messenger.{_mail_domain()}>"},
    )


def _mail_domain() -> str:
    return settings.BASE_URL.split("//", 1)[-1].split("/")[0].split(":")[0]


def preview(topic: Topic, reader: Member) -> EmailMultiAlternatives:
    """The mail about an invented message of this topic, as `reader` would get it."""
    slug = reader.tenancy.slug
    with translation.override(reader.user.language):
        subject = _("New message in Messenger")
    return build_mail(
        "messenger/mails/new_message",
        reader.user.email,
        subject,
        {
            "message": {"posted_at": timezone.now()},
            "link": settings.BASE_URL + reverse("messenger:thread", args=[slug, topic.pk]),
            "preferences_link": settings.BASE_URL + reverse("messenger:preferences", args=[slug]),
        },
        language=reader.user.language,
        time_zone=reader.user.time_zone,
    )
