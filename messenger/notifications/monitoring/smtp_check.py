"""Sends a test e-mail at once and shows the mail server's answer, so that an administrator can find the problem."""

import smtplib
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from common.addresses import readable_address
from common.mail.sending import RefusedError, build_mail, readable, send_now
from tenancy.models import Member

# About as long as a user waits for a page.
TIMEOUT_SECONDS = 10
MAX_ANSWER_LENGTH = 200


@dataclass(frozen=True)
class Answer:
    is_accepted: bool
    sentence: str


def send_test_mail(member: Member) -> Answer:
    """Send a test e-mail to the member.

    Returns the result with a sentence in the active language; a failure of the mail server is a result, too.
    """
    try:
        send_now(build_test_mail(member), TIMEOUT_SECONDS)
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
            int(TIMEOUT_SECONDS),
        )
        return Answer(False, sentence % {"seconds": TIMEOUT_SECONDS})
    except smtplib.SMTPException:
        return Answer(False, _("The mail server closed the connection. Try again in a few minutes."))
    except OSError as error:
        if error.strerror:
            return Answer(False, _("The mail server can't be reached: %(why)s.") % {"why": error.strerror})
        return Answer(False, _("The mail server can't be reached."))
    sentence = _("The mail server accepted the test e-mail to %(address)s. Check your inbox and your spam folder.")
    return Answer(True, sentence % {"address": readable_address(member.user.email)})


def _refused(code: int, text: bytes | str) -> Answer:
    answer = f"{code} {readable(text)}"[:MAX_ANSWER_LENGTH]
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
