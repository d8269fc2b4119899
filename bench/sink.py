"""A mail server that counts mails and discards them: `python -m bench.sink PORT`.

It uses aiosmtpd, like `make run`: goal P7 was set for its speed. XRESET sets the count to zero, XSTAT returns it.
"""

import asyncio
import smtplib
import sys

from aiosmtpd.smtp import SMTP, Envelope, Session


class MailCounter:
    """Counts the mails of all connections."""

    def __init__(self) -> None:
        self.received = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.received += 1
        return "250 OK"


class CountingServer(SMTP):
    event_handler: MailCounter

    async def smtp_XSTAT(self, _argument: str | None) -> None:  # noqa: N802  (named after the command)
        await self.push(f"250 {self.event_handler.received}")

    async def smtp_XRESET(self, _argument: str | None) -> None:  # noqa: N802
        self.event_handler.received = 0
        await self.push("250 OK")


def received(port: int) -> int:
    """The number of mails since the last reset."""
    with smtplib.SMTP("127.0.0.1", port) as connection:
        _, reply = connection.docmd("XSTAT")
    return int(reply)


def reset(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port) as connection:
        connection.docmd("XRESET")


async def serve(port: int) -> None:
    counter = MailCounter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: CountingServer(counter, hostname="sink"), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
