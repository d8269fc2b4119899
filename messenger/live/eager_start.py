"""Doing at once what need not wait: no task, no turn of the event loop, where an awaitable is done when it is asked.

A server that hands bytes on to a thread of its own answers `send` with something that is done already. A thousand
streams that are woken up for that wait for each other's turns.
"""

import types
from collections.abc import Awaitable, Generator
from typing import Any


def start_eagerly(work: Awaitable[None]) -> Awaitable[None] | None:
    """Do it as far as it goes without waiting; what is left of it, for a task to await, or None: it is done."""
    steps = work.__await__()
    try:
        waits_for = next(steps)
    except StopIteration:
        return None
    return _rest(waits_for, steps)


@types.coroutine
def _rest(waits_for: Any, steps: Generator[Any, Any, None]) -> Generator[Any, Any, None]:
    try:
        yield waits_for
    except BaseException:
        steps.close()
        raise
    yield from steps
