"""A thread that runs database queries for the event loop, over one connection, which is closed when it is idle."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from django.db import connection

T = TypeVar("T")

# Longer than the time between two checks of access, because opening a connection takes as long as a check.
IDLE_SECONDS = 3


class DatabaseThread:
    """Runs functions one after the other, in the order of the calls; the thread starts with the first."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._starting = Lock()
        self._thread: Thread | None = None

    async def run(self, query: Callable[[], T]) -> T:
        """What `query` returns; raises what it raises."""
        future: Future[T] = Future()
        self._queue.put((future, query))
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._run_all, name="stream-updates", daemon=True)
                self._thread.start()
        return await asyncio.wrap_future(future)

    def _run_all(self) -> None:
        while True:
            try:
                future, query = self._queue.get(timeout=IDLE_SECONDS)
            except Empty:
                connection.close()
                future, query = self._queue.get()
            if not future.set_running_or_notify_cancel():
                continue  # the caller was cancelled
            try:
                result = query()
            except BaseException as error:  # the caller handles it, and the thread goes on
                connection.close()
                future.set_exception(error)
            else:
                future.set_result(result)
