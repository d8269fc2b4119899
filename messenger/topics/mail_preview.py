import re

from django.core.mail import EmailMultiAlternatives
from django.utils.translation import gettext as _

from messenger.messages.posting import example_message
from messenger.models import Topic
from messenger.notifications.delivery.mails import message_mail
from tenancy.models import Member

_KEY = re.compile(r"(/unsubscribe/)[^/\s]+")


def preview(topic: Topic, reader: Member) -> EmailMultiAlternatives:
    """The mail about an example message that the reader might write, as it would look; not to be sent."""
    mail = message_mail(example_message(topic, reader, _("This is an example of a message.")), reader)
    mail.body = _KEY.sub(r"\1…", str(mail.body))  # a real one would work, for whoever looks on
    return mail
