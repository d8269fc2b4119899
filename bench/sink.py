"""A mail server that takes every mail and keeps none, counting them: `python -m bench.sink PORT`.

aiosmtpd, as in `make run`: goal P7 was set against its pace. Counted is since the last XRESET.
"""

import asyncio
import smtplib
import sys

from aiosmtpd.smtp import SMTP, Envelope, Session


class Counter:
    """Of all connections."""

    def __init__(self) -> None:
        self.taken = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken += 1
        return "250 OK"


class CountingServer(SMTP):
    event_handler: Counter

    async def smtp_XSTAT(self, _argument: str | None) -> None:  # noqa: N802  (named after the command)
        await self.push(f"250 {self.event_handler.taken}")

    async def smtp_XRESET(self, _argument: str | None) -> None:  # noqa: N802
        self.event_handler.taken = 0
        await self.push("250 OK")


def taken(port: int) -> int:
    with smtplib.SMTP("127.0.0.1", port) as connection:
        _, answer = connection.docmd("XSTAT")
    return int(answer)


def reset(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port) as connection:
        connection.docmd("XRESET")


async def serve(port: int) -> None:
    counter = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: CountingServer(counter, hostname="sink"), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
