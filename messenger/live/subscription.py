"""One open stream: whose it is, and what remains to be sent to it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from messenger.live.eager_start import start_eagerly
from messenger.live.updates import StreamContext, changed_event

Send = Callable[[dict[str, Any]], Awaitable[None]]

# In place of a topic's id: the stream of a topic list, which receives an event when any of its topics changes.
EVERY_TOPIC = 0

KEEPALIVE = b": still here\n\n"
GONE = b"event: gone\ndata: {}\n\n"


class Subscription:
    """One open stream. Events are sent at once, not by a task that would have to be woken for each.

    While the server makes the stream wait, only the newest event is remembered for it.
    """

    def __init__(self, context: StreamContext, known_revision: int) -> None:
        self.context = context
        self.revision = known_revision  # the last one sent
        self._pending: tuple[int, bytes] | None = None  # not sent yet; replaced by a newer one
        self._send: Send | None = None  # until the response has begun
        self._sending: asyncio.Task[None] | None = None  # while the server makes the stream wait
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_over(self) -> bool:
        return self._over.done()

    def send(self, revision: int, event: bytes) -> None:
        """Send an event, unless this revision or a later one was sent before."""
        newest = self._pending[0] if self._pending else self.revision
        if revision > newest and not self.is_over:
            self._pending = revision, event
            self._flush()

    def send_list_changed(self) -> None:
        """Send a topic list the event that one of its topics changed; the list itself has no revision."""
        self.send(self.revision + 1, changed_event(self.revision + 1))

    def send_keepalive(self) -> None:
        """Send a comment, because proxies close connections that are silent for long."""
        if self._pending is None and not self.is_over:
            self._pending = self.revision, KEEPALIVE
            self._flush()

    def end(self) -> None:
        """Close the stream without sending what is pending; the page may request it again."""
        self._pending = None
        if not self.is_over:
            self._over.set_result(None)

    def revoke(self) -> None:
        """Close the stream for good: its member may not read the topic any more. Sends the event `gone`."""
        if not self.is_over:
            self._pending = self.revision, GONE
            self._flush()
        if not self.is_over:
            self._over.set_result(None)

    async def relay(self, send: Send) -> None:
        """Send pending and future events until the stream is over; raises what `send` raises."""
        self._send = send
        self._flush()
        try:
            await self._over
            while self._sending:
                await self._sending
        finally:
            if self._sending:
                self._sending.cancel()

    def _flush(self) -> None:
        if self._send is None or self._sending or self._pending is None:
            return
        self.revision, event = self._pending
        self._pending = None
        try:
            rest = start_eagerly(self._send({"type": "http.response.body", "body": event, "more_body": True}))
        except Exception as error:  # concerns this stream only
            self._fail(error)
        else:
            if rest is not None:
                self._sending = asyncio.create_task(self._finish_sending(rest))

    async def _finish_sending(self, rest: Awaitable[None]) -> None:
        try:
            await rest
        except Exception as error:
            self._fail(error)
        self._sending = None
        self._flush()

    def _fail(self, error: Exception) -> None:
        self._pending = None
        if not self.is_over:
            self._over.set_exception(error)
