"""The catch-up mail: the number of unread messages in each topic, with links and without any text."""

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
from messenger.reading.annotations import unread_in_words
from tenancy.models import MailDetail, Member


@dataclass(frozen=True)
class UnreadTopic:
    """The unread messages of a member in one topic that a catch-up mail counts."""

    topic: Topic
    after: int  # a sequence number, not included
    up_to: int  # a sequence number, included
    messages: int  # as CountUpToMax counts them

    @property
    def messages_in_words(self) -> str:
        return unread_in_words(self.messages)


def catch_up_mail(member: Member, day: date, unread: Collection[UnreadTopic]) -> EmailMultiAlternatives:
    """The catch-up mail to one member; `day` is the date in their time zone."""
    count = sum(entry.messages for entry in unread)
    host = mail_domain()
    messenger = settings.BASE_URL + reverse("messenger:topics", args=[member.tenancy.slug])
    return build_messenger_mail(
        "messenger/notifications/mails/catch_up",
        addressee_of(member),
        member.tenancy.slug,
        subject=lambda: _("Unread messages in IPPEX Cloud Messenger"),
        context={
            "count": count,
            "number": unread_in_words(count),
            "topics": [(entry, f"{messenger}topics/{entry.topic.pk}/") for entry in unread],
            "names_topic": member.tenancy.mail_detail != MailDetail.MINIMAL,
            "link": messenger,
        },
        unsubscribe_url=unsubscribe_link(member, None),
        headers={
            "Message-ID": f"<catch-up-{member.pk}-{day:%Y%m%d}@messenger.{host}>",
            "List-Id": f"<catch-up.messenger.{host}>",
        },
    )
