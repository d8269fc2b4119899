"""A thread that asks the database for the event loop, over one connection, kept only while it is asked often."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from django.db import connection

T = TypeVar("T")

# Longer than what lies between two looks at who may listen: opening a connection takes as long as looking.
KEPT_SECONDS = 3


class DatabaseThread:
    def __init__(self) -> None:
        self._questions: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._starting = Lock()
        self._thread: Thread | None = None

    async def answer(self, question: Callable[[], T]) -> T:
        """One after the other, in the order in which they are asked."""
        answer: Future[T] = Future()
        self._questions.put((answer, question))
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._answer_all, name="stream-looks", daemon=True)
                self._thread.start()
        return await asyncio.wrap_future(answer)

    def _answer_all(self) -> None:
        while True:
            try:
                answer, question = self._questions.get(timeout=KEPT_SECONDS)
            except Empty:
                connection.close()
                answer, question = self._questions.get()
            if not answer.set_running_or_notify_cancel():
                continue  # nobody waits for it any more
            try:
                result = question()
            except BaseException as error:  # whatever it was: for whoever asked
                connection.close()
                answer.set_exception(error)
            else:
                answer.set_result(result)
