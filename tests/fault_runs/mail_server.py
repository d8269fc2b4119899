"""The mail server of the fault runs: records every mail that it accepts, and can be down, stall or refuse."""

import asyncio
import logging
import time
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.smtp import AnyPortController, SmtpServer


@dataclass(frozen=True)
class AcceptedMail:
    """A mail that was answered with a 250."""

    message_id: str
    recipient: str
    at: float  # time.monotonic()
    connection: int


class MailServer(SmtpServer):
    def __init__(self) -> None:
        super().__init__()
        self.accepted: list[AcceptedMail] = []
        self.answer_to_all = ""  # a reply to every recipient, such as "451 Try again later"; empty: accept
        self.refused = 0
        self.connections_to_stall = 0
        self.stalled = 0
        self._connections: dict[SMTP, int] = {}
        self._port = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._port}"

    def __enter__(self) -> "MailServer":
        logging.getLogger("mail.log").setLevel(logging.ERROR)  # otherwise several lines for each of thousands of mails
        super().__enter__()
        self._port = self.address[1]
        return self

    def shut(self) -> None:
        """Behave like a stopped mail server: end open connections and refuse new ones."""
        for connection in self._connections:
            if connection.transport:
                self._controller.loop.call_soon_threadsafe(connection.transport.abort)  # type: ignore[attr-defined]
        time.sleep(0.05)  # lets the loop abort them before it is stopped
        self._controller.stop()

    def open(self) -> None:
        """Listen again, on the same port."""
        self._controller = AnyPortController(self, hostname="127.0.0.1", port=self._port)
        self._controller.start()

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if self.connections_to_stall:
            self.connections_to_stall -= 1
            self.stalled += 1
            await asyncio.sleep(60)  # longer than any client waits; ends with the connection
        answer = self.answer_to_all or await super().handle_RCPT(server, session, envelope, address, options)
        self.refused += not answer.startswith("250")
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        headers = BytesHeaderParser().parsebytes(envelope.content)  # type: ignore[arg-type]
        connection = self._connections.setdefault(server, len(self._connections))
        for recipient in envelope.rcpt_tos:
            self.accepted.append(AcceptedMail(headers["Message-ID"], recipient, time.monotonic(), connection))
        return "250 OK"
