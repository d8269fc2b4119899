"""The catch-up mail: how much a member missed, as counts and links only."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils.translation import gettext as _

from messenger.models import Topic
from messenger.notifications.delivery.mails import addressee_of, build_messenger_mail, mail_domain
from messenger.notifications.delivery.unsubscribe_links import unsubscribe_link
from tenancy.models import MailDetail, Member


@dataclass(frozen=True)
class UnreadTopic:
    """What a member missed in one topic: this many messages between two sequence numbers."""

    topic: Topic
    after: int
    up_to: int
    messages: int


def catch_up_mail(member: Member, day: date, missed: Collection[UnreadTopic]) -> EmailMultiAlternatives:
    """The mail that tells one member how much they missed: counts and links only."""
    host = mail_domain()
    messenger = settings.BASE_URL + reverse("messenger:topics", args=[member.tenancy.slug])
    return build_messenger_mail(
        "messenger/notifications/mails/catch_up",
        addressee_of(member),
        member.tenancy.slug,
        subject=lambda: _("Unread messages in IPPEX Cloud Messenger"),
        context={
            "count": sum(one.messages for one in missed),
            "topics": [(one, f"{messenger}topics/{one.topic.pk}/") for one in missed],
            "names_topic": member.tenancy.mail_detail != MailDetail.MINIMAL,
            "link": messenger,
        },
        stop=unsubscribe_link(member, None),
        headers={
            "Message-ID": f"<catch-up-{member.pk}-{day:%Y%m%d}@messenger.{host}>",
            "List-Id": f"<catch-up.messenger.{host}>",
        },
    )
