"""Mails to many that are the same but for a few words: rendered and encoded once, filled in for each addressee.

Rendering and encoding a mail costs more than handing it over. What differs (the address, an identifier, a link) is
rendered as marks that nobody can foresee, so that nothing else in the mail is ever taken for one of them.
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

# Words that stand in headers, text and HTML as they are, not encoded, escaped, quoted or folded in any of them.
_PLAIN = re.compile(r"[A-Za-z0-9._:/@+-]{1,300}")
# An address that is in a header, and in the envelope, what it is in the database. Others Django looks at.
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9_+'-]+(\.[A-Za-z0-9_+'-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
# As which lines stand in a mail as they were written.
_AS_WRITTEN = ("7bit", "8bit")
_ADDRESSEE, _DATE = "addressee", "date"


class MailMerge:
    """`write` answers with the mail for an address and, by the names of blanks, words; called once, with marks."""

    def __init__(
        self, blanks: Collection[str], write: Callable[[str, Mapping[str, str]], EmailMultiAlternatives]
    ) -> None:
        self._marks = {name: f"blank-{secrets.token_hex(16)}" for name in (*blanks, _ADDRESSEE, _DATE)}
        mail = write(self._marks[_ADDRESSEE], self._marks)
        mail.extra_headers["Date"] = self._marks[_DATE]
        [(html, self._html_type)] = mail.alternatives
        self._subject = mail.subject
        self._text = self._in_pieces(str(mail.body))
        self._html = self._in_pieces(str(html))
        self._headers = {name: self._in_pieces(value) for name, value in mail.extra_headers.items()}
        _, self._sender = parseaddr(sanitize_address(mail.from_email, settings.DEFAULT_CHARSET))
        self._encoded = self._encode(mail)

    def fill(self, to: str, words: Mapping[str, str]) -> "MergedMail":
        is_plain = _PLAIN_ADDRESS.fullmatch(to) and all(_PLAIN.fullmatch(word) for word in words.values())
        words = {**words, _ADDRESSEE: to, _DATE: formatdate(localtime=settings.EMAIL_USE_LOCALTIME)}
        mail = MergedMail(
            subject=self._subject,
            body=_joined(self._text, words),
            to=[to],
            headers={name: _joined(pieces, words) for name, pieces in self._headers.items()},
        )
        in_html = {name: escape(word) for name, word in words.items()}
        mail.attach_alternative(_joined(self._html, in_html), self._html_type)
        if self._encoded and is_plain:
            mail.sender = self._sender
            mail.encoded = _joined(self._encoded, words).encode()
        return mail

    def _in_pieces(self, text: str) -> list[str]:
        """What stands between blanks, and at each odd place the name of a blank."""
        names = {mark: name for name, mark in self._marks.items()}
        pieces = re.split(f"({'|'.join(names)})", text)
        pieces[1::2] = [names[mark] for mark in pieces[1::2]]
        return pieces

    def _encode(self, mail: EmailMultiAlternatives) -> list[str]:
        """Empty where a mail program would find other words in the blanks than were filled in."""
        message: Any = mail.message()
        if not all(_is_as_written(part) for part in message.walk()):
            return []
        pieces = self._in_pieces(message.as_bytes(linesep="\r\n").decode())
        blanks = sum(
            len(self._in_pieces(text)) // 2
            for text in (*mail.to, mail.body, mail.alternatives[0][0], *mail.extra_headers.values())
        )
        return pieces if len(pieces) // 2 == blanks else []


class MergedMail(EmailMultiAlternatives):
    """An ordinary mail, which may be encoded already."""

    encoded = b""  # as it goes over the line
    sender = ""  # of its envelope


def _joined(pieces: list[str], words: Mapping[str, str]) -> str:
    return "".join([words[piece] if place % 2 else piece for place, piece in enumerate(pieces)])


def _is_as_written(part: Message) -> bool:
    return part.is_multipart() or part["Content-Transfer-Encoding"] in _AS_WRITTEN
