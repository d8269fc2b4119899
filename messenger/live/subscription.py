"""One open stream: whose it is, and what is to be sent to it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from messenger.live.eager_start import start_eagerly
from messenger.live.updates import StreamContext, changed_event

Send = Callable[[dict[str, Any]], Awaitable[None]]

# In place of a topic's id: the stream of a topic list, which is told that some topic of it changed.
EVERY_TOPIC = 0

STILL_HERE = b": still here\n\n"
GONE = b"event: gone\ndata: {}\n\n"


class Subscription:
    """One open stream: whose it is, and what is to be sent to it.

    What it is told is handed on there and then, not by a task that has to be woken for it.
    """

    def __init__(self, context: StreamContext, known_revision: int) -> None:
        self.context = context
        # What was sent last. What was found meanwhile and could not be sent yet is replaced by what is found later.
        self.revision = known_revision
        self._waiting: tuple[int, bytes] | None = None
        self._send: Send | None = None  # until the answer has begun
        self._unfinished: asyncio.Task[None] | None = None  # what the server takes its time for
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_over(self) -> bool:
        return self._over.done()

    def send(self, revision: int, event: bytes) -> None:
        """There is this revision; told twice or late, nothing happens."""
        newest = self._waiting[0] if self._waiting else self.revision
        if revision > newest and not self.is_over:
            self._waiting = revision, event
            self._hand_on()

    def send_list_changed(self) -> None:
        """Something changed that has no revision of its own: a topic of a list."""
        self.send(self.revision + 1, changed_event(self.revision + 1))

    def send_keepalive(self) -> None:
        """So that what is silent for long is not closed on the way."""
        if self._waiting is None and not self.is_over:
            self._waiting = self.revision, STILL_HERE
            self._hand_on()

    def end(self) -> None:
        """Close the stream; its page may come back and ask again. What was not sent yet is not sent any more."""
        self._waiting = None
        if not self.is_over:
            self._over.set_result(None)

    def revoke(self) -> None:
        """Close the stream for good: its member may not read the topic any more."""
        if not self.is_over:
            self._waiting = self.revision, GONE
            self._hand_on()
        if not self.is_over:
            self._over.set_result(None)

    async def relay(self, send: Send) -> None:
        """Send what is there and what comes, until the stream is to end."""
        self._send = send
        self._hand_on()
        try:
            await self._over
            while self._unfinished:
                await self._unfinished
        finally:
            if self._unfinished:
                self._unfinished.cancel()

    def _hand_on(self) -> None:
        if self._send is None or self._unfinished or self._waiting is None:
            return
        self.revision, event = self._waiting
        self._waiting = None
        try:
            rest = start_eagerly(self._send({"type": "http.response.body", "body": event, "more_body": True}))
        except Exception as error:  # it is this stream's alone
            self._fail(error)
        else:
            if rest is not None:
                self._unfinished = asyncio.create_task(self._hand_on_the_rest(rest))

    async def _hand_on_the_rest(self, rest: Awaitable[None]) -> None:
        try:
            await rest
        except Exception as error:
            self._fail(error)
        self._unfinished = None
        self._hand_on()

    def _fail(self, error: Exception) -> None:
        self._waiting = None
        if not self.is_over:
            self._over.set_exception(error)
