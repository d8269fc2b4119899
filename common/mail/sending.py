"""The one builder of e-mails (one addressee, text and HTML from two small templates) and their one way out."""

import logging
import smtplib
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import timedelta
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend
from django.template.loader import render_to_string
from django.utils import timezone, translation

from common.mail.mail_merge import MergedMail

log = logging.getLogger(__name__)

SMTP_SERVICE_NOT_AVAILABLE = 421  # RFC 5321, 4.2.3: the server is closing the connection
SMTP_UNUSABLE_ADDRESS = 553  # RFC 5321, 4.2.3: mailbox name not allowed

# Mail servers that refuse at first what they don't know (greylisting) want to be asked again after minutes.
RETRY_AFTER = timedelta(minutes=5)


def build_mail(
    template: str,
    to: str,
    subject: str,
    context: dict[str, Any],
    *,
    language: str,
    time_zone: str = settings.TIME_ZONE,
    headers: dict[str, str] | None = None,
) -> EmailMultiAlternatives:
    """Render `TEMPLATE.txt` and `TEMPLATE.html` in the addressee's language and time zone."""
    with translation.override(language), timezone.override(ZoneInfo(time_zone)):
        context = {
            **context,
            "base_url": settings.BASE_URL,
            "subject": subject,
            "language": language,
            "time_zone": time_zone.replace("_", " "),
        }
        mail = EmailMultiAlternatives(
            # A line break in a subject would end the header; Django refuses it, and the mail would be lost.
            subject=" ".join(str(subject).split()),
            body=render_to_string(f"{template}.txt", context),
            to=[to],
            headers={
                "Auto-Submitted": "auto-generated",
                "X-Auto-Response-Suppress": "All",
                **(headers or {}),
            },
        )
        mail.attach_alternative(render_to_string(f"{template}.html", context), "text/html")
    return mail


def send_batch(
    keys: Iterable[int],
    send_one: Callable[[int, BaseEmailBackend], None],
    postpone: Callable[[int], None],
) -> None:
    """Call `send_one(key, connection)` for each key, all over one connection.

    Trouble with the server ends the batch and raises nothing: what was not sent stays due in its row. The
    one at which it happened is postponed behind the others, for it may be what the trouble is about.
    """
    if not keys:
        return
    try:
        with get_connection() as connection:
            for key in keys:
                try:
                    send_one(key, connection)
                except Exception:
                    postpone(key)
                    raise
    except (OSError, smtplib.SMTPException) as error:
        log.warning("mail server away (%s); what is due stays due", type(error).__name__)


class RefusedError(Exception):
    """The mail server took the connection but not this mail: trouble of one addressee, not of the server."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.is_permanent = code >= 500
        self.is_about_the_address = code == SMTP_UNUSABLE_ADDRESS


def send(mail: EmailMultiAlternatives, connection: BaseEmailBackend) -> None:
    """Hand one mail to the mail server over an open connection.

    Raises RefusedError where the server refuses this addressee or this mail, and lets everything else
    (OSError, smtplib.SMTPException) through: that is trouble of the server and nobody's attempt.
    """
    try:
        if isinstance(mail, MergedMail) and mail.encoded and type(connection) is EmailBackend and connection.connection:
            connection.connection.sendmail(mail.sender, mail.to, mail.encoded)
        else:
            connection.send_messages([mail])
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        if code == SMTP_SERVICE_NOT_AVAILABLE:
            raise
        raise RefusedError(code, readable(text)) from error
    except smtplib.SMTPDataError as error:
        if error.smtp_code == SMTP_SERVICE_NOT_AVAILABLE:
            raise
        raise RefusedError(error.smtp_code, readable(error.smtp_error)) from error
    except (ValueError, UnicodeError) as error:  # an address that no mail can be sent to
        raise RefusedError(SMTP_UNUSABLE_ADDRESS, "no mail can be sent to such an address") from error


def send_now(mail: EmailMultiAlternatives, seconds: float) -> None:
    """Hand one mail to the mail server while somebody waits for its answer: so many seconds in all, no more.

    Raises what `send` raises, and TimeoutError; the mail may then still go out.
    """
    sent: Future[None] = Future()

    def work() -> None:
        try:
            with get_connection(timeout=seconds) as connection:
                send(mail, connection)
        except BaseException as error:  # whatever it was: for whoever waits
            sent.set_exception(error)
        else:
            sent.set_result(None)

    # A connection's own timeout begins anew with each line: a mail server that answers slowly could take minutes.
    Thread(target=work, daemon=True).start()
    sent.result(seconds)


def readable(answer: bytes | str) -> str:
    return answer.decode(errors="replace") if isinstance(answer, bytes) else answer
