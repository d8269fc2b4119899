"""Runs several functions at the same time on the real database, each in a thread with its own connection."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Barrier, Thread
from typing import TypeVar

from django.db import connection

T = TypeVar("T")

PATIENCE = 10  # seconds; nothing here takes even one


def start(work: Callable[[], T]) -> "Future[T]":
    """Run `work` in a thread. Its database connection is closed before the result is set."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # raised again by future.result()
            connection.close()
            future.set_exception(error)
        else:
            connection.close()
            future.set_result(result)

    Thread(target=run, daemon=True).start()
    return future


def together(works: Sequence[Callable[[], T]]) -> list[T | BaseException]:
    """Run all of them at the same moment. Returns the result of each, or the exception that it raised."""
    barrier = Barrier(len(works))

    def run_at_barrier(work: Callable[[], T]) -> T:
        connection.ensure_connection()
        barrier.wait(PATIENCE)
        return work()

    futures = [start(lambda work=work: run_at_barrier(work)) for work in works]  # type: ignore[misc]
    return [future.exception(PATIENCE) or future.result() for future in futures]


def another_connection_waits_for_a_lock() -> bool:
    """Wait up to PATIENCE seconds until another connection waits for a lock; returns whether one does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
            if cursor.fetchone()[0]:
                return True
        time.sleep(0.01)
    return False
