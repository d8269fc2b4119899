"""Mail merge: mails that differ in a few words only are rendered and encoded once, then filled in for each recipient.

Rendering and encoding a mail takes longer than handing it to the mail server. What differs (the address, an identifier,
a link) is rendered as a random marker, so that nothing else in the mail can be mistaken for one.
"""

import re
import secrets
from collections.abc import Callable, Collection, Mapping
from email.message import Message
from email.utils import formatdate, parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import sanitize_address
from django.utils.html import escape

# Values that headers, text and HTML contain unchanged: none of them encodes, escapes, quotes or folds these.
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9._:/@+-]{1,300}")
# Addresses that are the same in header and envelope as in the database. Django encodes the mails to all others.
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9_+'-]+(\.[A-Za-z0-9_+'-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
# Content-Transfer-Encodings that leave the lines of a mail unchanged.
_UNCHANGED = ("7bit", "8bit")
_RECIPIENT, _DATE = "recipient", "date"


class MailMerge:
    """The mail that `build` returns, to be filled in for each recipient.

    `build` takes an address and a value for each field by its name. It is called once, with markers.
    """

    def __init__(
        self, fields: Collection[str], build: Callable[[str, Mapping[str, str]], EmailMultiAlternatives]
    ) -> None:
        self._markers = {name: f"field-{secrets.token_hex(16)}" for name in (*fields, _RECIPIENT, _DATE)}
        mail = build(self._markers[_RECIPIENT], self._markers)
        mail.extra_headers["Date"] = self._markers[_DATE]
        [(html, self._html_type)] = mail.alternatives
        self._subject = mail.subject
        self._text = self._split(str(mail.body))
        self._html = self._split(str(html))
        self._headers = {name: self._split(value) for name, value in mail.extra_headers.items()}
        _, self._sender = parseaddr(sanitize_address(mail.from_email, settings.DEFAULT_CHARSET))
        self._encoded = self._encode(mail)

    def fill(self, to: str, values: Mapping[str, str]) -> "MergedMail":
        """The mail to this address; already encoded unless encoding would change the address or a value."""
        is_plain = _PLAIN_ADDRESS.fullmatch(to) and all(_PLAIN_VALUE.fullmatch(value) for value in values.values())
        values = {**values, _RECIPIENT: to, _DATE: formatdate(localtime=settings.EMAIL_USE_LOCALTIME)}
        mail = MergedMail(
            subject=self._subject,
            body=_join(self._text, values),
            to=[to],
            headers={name: _join(pieces, values) for name, pieces in self._headers.items()},
        )
        in_html = {name: escape(value) for name, value in values.items()}
        mail.attach_alternative(_join(self._html, in_html), self._html_type)
        if self._encoded and is_plain:
            mail.sender = self._sender
            mail.encoded = _join(self._encoded, values).encode()
        return mail

    def _split(self, text: str) -> list[str]:
        """The text between fields, with the name of a field at each odd index."""
        names = {marker: name for name, marker in self._markers.items()}
        pieces = re.split(f"({'|'.join(names)})", text)
        pieces[1::2] = [names[marker] for marker in pieces[1::2]]
        return pieces

    def _encode(self, mail: EmailMultiAlternatives) -> list[str]:
        """The pieces of the encoded mail; empty if encoding changes the markers, and so would change the values."""
        message: Any = mail.message()
        if not all(_is_unchanged(part) for part in message.walk()):
            return []
        pieces = self._split(message.as_bytes(linesep="\r\n").decode())
        markers = sum(
            len(self._split(text)) // 2
            for text in (*mail.to, mail.body, mail.alternatives[0][0], *mail.extra_headers.values())
        )
        return pieces if len(pieces) // 2 == markers else []


class MergedMail(EmailMultiAlternatives):
    """A mail that may already be encoded."""

    encoded = b""  # the bytes to send
    sender = ""  # envelope sender


def _join(pieces: list[str], values: Mapping[str, str]) -> str:
    return "".join([values[piece] if index % 2 else piece for index, piece in enumerate(pieces)])


def _is_unchanged(part: Message) -> bool:
    return part.is_multipart() or part["Content-Transfer-Encoding"] in _UNCHANGED
