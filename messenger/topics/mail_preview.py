import re

from django.core.mail import EmailMultiAlternatives
from django.utils.translation import gettext as _

from messenger.messages.posting import example_message
from messenger.models import Topic
from messenger.notifications.delivery.mails import message_mail
from tenancy.models import Member

_UNSUBSCRIBE_KEY = re.compile(r"(/unsubscribe/)[^/\s]+")


def preview(topic: Topic, reader: Member) -> EmailMultiAlternatives:
    """The e-mail that `reader` would get about an example message of their own. For display, never to be sent."""
    mail = message_mail(example_message(topic, reader, _("This is an example message.")), reader)
    mail.body = _UNSUBSCRIBE_KEY.sub(r"\1…", str(mail.body))  # a real key would work for anyone who sees the page
    return mail
