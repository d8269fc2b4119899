"""ASGI entry point for the live stream. Under `make run`, where one process serves everything, it serves the pages too.

The stream is dispatched before Django's handler: behind the handler and its synchronous middleware, each open stream
would occupy a thread and a connection to PostgreSQL.
"""

import gc
import os
from collections.abc import Awaitable, Callable
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ippex_messenger.settings")
pages: Any = get_asgi_application()

from messenger.live.stream import serve_stream, stream_slug  # noqa: E402  (needs the application registry)

# Exempt everything loaded so far from garbage collection: a full collection over it would stall every open stream.
gc.collect()
gc.freeze()


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] == "http" and stream_slug(scope["path"]):
        await serve_stream(scope, receive, send)
    elif scope["type"] == "http":
        await pages(scope, receive, send)
