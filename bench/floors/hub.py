"""Floor S: a bare hub for server-sent events, with ASGI, without access checks or Redis.

POST / publishes an event to every open GET /.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

_queues: set[asyncio.Queue[bytes]] = set()


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] != "http":
        return
    if scope["method"] == "POST":
        event = f"event: changed\ndata: {json.dumps({'published_at': time.monotonic()})}\n\n".encode()
        for subscriber in _queues:
            subscriber.put_nowait(event)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    _queues.add(queue)
    try:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b": listening\n\n", "more_body": True})
        while True:
            await send({"type": "http.response.body", "body": await queue.get(), "more_body": True})
    finally:
        _queues.discard(queue)
