"""A real SMTP server for tests: stores the mails it receives, and refuses the addresses in `refusals`."""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class AnyPortController(Controller):
    """Listens on a free port that the system assigns. aiosmtpd's controller would try to connect to port 0."""

    def _trigger_server(self) -> None:
        assert self.server
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        super()._trigger_server()  # type: ignore[no-untyped-call]


class SmtpServer:
    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.refusals: dict[str, str] = {}  # by address the server's reply, such as "550 No such user"
        self._controller = AnyPortController(self, hostname="127.0.0.1", port=0)

    def __enter__(self) -> "SmtpServer":
        self._controller.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._controller.stop()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._controller.server.sockets[0].getsockname()[:2]  # type: ignore[union-attr]
        return host, port

    @property
    def recipients(self) -> list[str]:
        """The addresses that the mails went to, one for each mail, in order."""
        return [address for envelope in self.envelopes for address in envelope.rcpt_tos]

    @property
    def mails(self) -> list[EmailMessage]:
        return [
            email.message_from_bytes(envelope.content, policy=email.policy.default)  # type: ignore[arg-type, misc]
            for envelope in self.envelopes
        ]

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        return "250 OK"
