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

# Mail servers with greylisting refuse unknown senders at first and accept a second attempt some minutes later.
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
    """Build a mail from `TEMPLATE.txt` and `TEMPLATE.html`, rendered in the recipient's language and time zone."""
    with translation.override(language), timezone.override(ZoneInfo(time_zone)):
        context = {
            **context,
            "base_url": settings.BASE_URL,
            "subject": subject,
            "language": language,
            "time_zone": time_zone.replace("_", " "),
        }
        mail = EmailMultiAlternatives(
            # Django refuses line breaks in a subject (header injection), and the mail would be lost.
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

    A failure of the mail server ends the batch without raising: unsent mails stay due in their rows. The key that was
    being sent is passed to `postpone`, which moves it behind the others, because its mail may have caused the failure.
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
        log.warning("mail server unavailable (%s); unsent mails stay due", type(error).__name__)


class RefusedError(Exception):
    """The mail server is available but refused this mail or its recipient."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.is_permanent = code >= 500
        self.is_about_the_address = code == SMTP_UNUSABLE_ADDRESS


def send(mail: EmailMultiAlternatives, connection: BaseEmailBackend) -> None:
    """Hand one mail to the mail server over an open connection.

    Raises RefusedError if the server refuses the recipient or the mail. Any other exception (OSError,
    smtplib.SMTPException) is a failure of the server and does not count as an attempt to send this mail.
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
    except (ValueError, UnicodeError) as error:  # raised for an address that can't be encoded
        raise RefusedError(SMTP_UNUSABLE_ADDRESS, "no mail can be sent to such an address") from error


def send_now(mail: EmailMultiAlternatives, seconds: float) -> None:
    """Hand one mail to the mail server within a request, in at most `seconds` altogether.

    Raises what `send` raises, or TimeoutError, after which the mail may still be sent.
    """
    sent: Future[None] = Future()

    def work() -> None:
        try:
            with get_connection(timeout=seconds) as connection:
                send(mail, connection)
        except BaseException as error:  # any exception is re-raised in the calling thread
            sent.set_exception(error)
        else:
            sent.set_result(None)

    # In a thread, because a connection's timeout starts again with each line: a slow mail server could take minutes.
    Thread(target=work, daemon=True).start()
    sent.result(seconds)


def readable(response: bytes | str) -> str:
    return response.decode(errors="replace") if isinstance(response, bytes) else response
