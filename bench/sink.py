"""A mail server that takes every mail and keeps none, counting them: `python -m bench.sink PORT`.

aiosmtpd, as in `make run`: goal P7 was set against its pace. Counted is since the last XRESET.
"""

import asyncio
import smtplib
import sys
import time
from dataclasses import dataclass

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True)
class Taken:
    count: int
    first_at: float  # time.monotonic(), which all processes of a machine share
    last_at: float


NOTHING = Taken(0, 0.0, 0.0)


class Counter:
    """Of all connections."""

    def __init__(self) -> None:
        self.taken = NOTHING

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        now = time.monotonic()
        self.taken = Taken(self.taken.count + 1, self.taken.first_at or now, now)
        return "250 OK"


class CountingServer(SMTP):
    event_handler: Counter

    async def smtp_XSTAT(self, _argument: str | None) -> None:  # noqa: N802  (named after the command)
        taken = self.event_handler.taken
        await self.push(f"250 {taken.count} {taken.first_at} {taken.last_at}")

    async def smtp_XRESET(self, _argument: str | None) -> None:  # noqa: N802
        self.event_handler.taken = NOTHING
        await self.push("250 OK")


def ask(port: int) -> Taken:
    with smtplib.SMTP("127.0.0.1", port) as connection:
        _, answer = connection.docmd("XSTAT")
    count, first_at, last_at = answer.decode().split()
    return Taken(int(count), float(first_at), float(last_at))


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
