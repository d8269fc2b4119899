"""A test e-mail, sent at once: what the mail server says to it tells an administrator where to look."""

import smtplib
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from common.mail.sending import RefusedError, build_mail, readable, send_now
from tenancy.models import Member

# As long as somebody looks at a page that does not come.
SECONDS = 10
MOST_OF_AN_ANSWER = 200


@dataclass(frozen=True)
class Answer:
    is_taken: bool
    sentence: str


def send_test_mail(member: Member) -> Answer:
    """Mail a member that mails arrive; returns what became of it, in their language, and raises nothing."""
    try:
        send_now(build_test_mail(member), SECONDS)
    except RefusedError as refusal:
        return _refused(refusal.code, refusal.text)
    except smtplib.SMTPRecipientsRefused as error:
        return _refused(*next(iter(error.recipients.values())))
    except smtplib.SMTPResponseException as error:
        return _refused(error.smtp_code, error.smtp_error)
    except TimeoutError:
        sentence = ngettext(
            "The mail server did not answer within %(seconds)d second. The e-mail may still arrive.",
            "The mail server did not answer within %(seconds)d seconds. The e-mail may still arrive.",
            int(SECONDS),
        )
        return Answer(False, sentence % {"seconds": SECONDS})
    except smtplib.SMTPException:
        return Answer(False, _("The mail server closed the connection. Try again in a few minutes."))
    except OSError as error:
        if error.strerror:
            return Answer(False, _("The mail server can't be reached: %(why)s.") % {"why": error.strerror})
        return Answer(False, _("The mail server can't be reached."))
    sentence = _("The mail server accepted the test e-mail to %(address)s. Check your inbox and your spam folder.")
    return Answer(True, sentence % {"address": member.user.email})


def _refused(code: int, text: bytes | str) -> Answer:
    answer = f"{code} {readable(text)}"[:MOST_OF_AN_ANSWER]
    return Answer(False, _("The mail server refused the test e-mail: %(answer)s") % {"answer": answer})


def build_test_mail(member: Member) -> EmailMultiAlternatives:
    with translation.override(member.user.language):
        subject = _("Test e-mail from IPPEX Cloud Messenger")
    return build_mail(
        "messenger/notifications/mails/test",
        member.user.email,
        subject,
        {
            "tenancy": member.tenancy.name,
            "sent_at": timezone.now(),
            "link": settings.BASE_URL + reverse("messenger_health:overview", args=[member.tenancy.slug]),
        },
        language=member.user.language,
        time_zone=member.user.time_zone,
    )
