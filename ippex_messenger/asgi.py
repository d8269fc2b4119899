"""The live stream, and (in `make run`, where one process serves all) every page as well.

The stream is dispatched before Django's handler: behind it and its synchronous middleware each open
stream would keep a thread and a connection to PostgreSQL.
"""

import gc
import os
from collections.abc import Awaitable, Callable
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ippex_messenger.settings")
pages: Any = get_asgi_application()

from messenger.live.stream import serve_stream, stream_slug  # noqa: E402  (needs the application registry)

# What is loaded by now stays: to go through all of it, now and then, would hold up every open stream meanwhile.
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
