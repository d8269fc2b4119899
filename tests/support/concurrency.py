"""Several things at the same time, on the real database: each in a thread with a connection of its own."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Barrier, Thread
from typing import TypeVar

from django.db import connection

T = TypeVar("T")

PATIENCE = 10  # seconds; nothing here takes one


def start(work: Callable[[], T]) -> "Future[T]":
    """Begin it now; its connection is closed before its result is there."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # whatever it was: for whoever asks for the result
            connection.close()
            future.set_exception(error)
        else:
            connection.close()
            future.set_result(result)

    Thread(target=run, daemon=True).start()
    return future


def together(works: Sequence[Callable[[], T]]) -> list[T | BaseException]:
    """Begin all of them at one moment; what came of each, an exception where it failed."""
    barrier = Barrier(len(works))

    def at_the_signal(work: Callable[[], T]) -> T:
        connection.ensure_connection()
        barrier.wait(PATIENCE)
        return work()

    futures = [start(lambda work=work: at_the_signal(work)) for work in works]  # type: ignore[misc]
    return [future.exception(PATIENCE) or future.result() for future in futures]


def somebody_waits_for_a_lock() -> bool:
    """Whether another connection waits for a lock, now or within seconds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
            if cursor.fetchone()[0]:
                return True
        time.sleep(0.01)
    return False
