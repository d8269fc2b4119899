"""Starts a coroutine immediately, so that it needs no task if it finishes without waiting.

A server that hands bytes to a thread of its own finishes `send` at once. With a task for each of a thousand streams,
they would wait for each other's turns of the event loop.
"""

import types
from collections.abc import Awaitable, Generator
from typing import Any


def start_eagerly(work: Awaitable[None]) -> Awaitable[None] | None:
    """Run `work` until it first waits. Returns the rest of it, to be awaited in a task, or None if it has finished."""
    steps = work.__await__()
    try:
        awaited = next(steps)
    except StopIteration:
        return None
    return _rest(awaited, steps)


@types.coroutine
def _rest(awaited: Any, steps: Generator[Any, Any, None]) -> Generator[Any, Any, None]:
    try:
        yield awaited
    except BaseException:
        steps.close()
        raise
    yield from steps
