"""A mail server that costs next to nothing: takes every mail, keeps none, answers XSTAT with what it took.

`python -m bench.sink PORT`. Counted is since the last XRESET.
"""

import asyncio
import smtplib
import sys
import time
from dataclasses import dataclass

END_OF_MAIL = b"\r\n.\r\n"


@dataclass(frozen=True)
class Taken:
    count: int
    first_at: float  # time.monotonic(), which all processes of a machine share
    last_at: float


class Connection(asyncio.Protocol):
    taken = Taken(0, 0.0, 0.0)  # by all connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (for the type checker)
        self._transport = transport
        self._buffer = b""
        self._is_in_mail = False
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(mark := END_OF_MAIL if self._is_in_mail else b"\r\n")) >= 0:
            line, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
            self._transport.write(self._answer(line[:6].upper()))

    def _answer(self, command: bytes) -> bytes:
        if self._is_in_mail:
            self._is_in_mail = False
            now, taken = time.monotonic(), Connection.taken
            Connection.taken = Taken(taken.count + 1, taken.first_at or now, now)
        elif command.startswith(b"EHLO"):
            return b"250-sink\r\n250 8BITMIME\r\n"
        elif command.startswith(b"DATA"):
            self._is_in_mail = True
            return b"354 go on\r\n"
        elif command.startswith(b"XSTAT"):
            taken = Connection.taken
            return f"250 {taken.count} {taken.first_at} {taken.last_at}\r\n".encode()
        elif command.startswith(b"XRESET"):
            Connection.taken = Taken(0, 0.0, 0.0)
        elif command.startswith(b"QUIT"):
            return b"221 bye\r\n"
        return b"250 OK\r\n"


def ask(port: int) -> Taken:
    with smtplib.SMTP("127.0.0.1", port) as connection:
        _, answer = connection.docmd("XSTAT")
    count, first_at, last_at = answer.decode().split()
    return Taken(int(count), float(first_at), float(last_at))


def reset(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port) as connection:
        connection.docmd("XRESET")


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
