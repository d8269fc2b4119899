"""The live stream: server-sent events that tell an open thread that there is something new.

An event holds what changed in a topic since the one before it (updates.py); where that is too much, the page
asks for it by the door that everybody uses. `serve_stream` is a bare ASGI callable (see ippex_messenger/asgi.py).
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import connection

from accounts.models import User
from accounts.sessions import UserSessionStore, signed_in_user
from common.middleware import holds_nul
from messenger.events import CHANNEL
from messenger.live.hub import Hub
from messenger.live.listeners import with_messenger
from messenger.live.subscription import EVERY_TOPIC, Send, Subscription
from messenger.live.updates import StreamContext
from messenger.models import Topic
from tenancy.middleware import find_member
from tenancy.models import Member
from tenancy.validators import SLUG_PATTERN

log = logging.getLogger(__name__)

# EventSource reconnects by itself; a short life picks up what its reader changed in their profile.
STREAM_SECONDS = 5 * 60
# Proxies close what is silent for a minute or less.
KEEP_ALIVE_SECONDS = 15

_STREAM_PATH = re.compile(rf"/({SLUG_PATTERN})/messenger/stream/")
_TOPIC_ID = re.compile(r"[1-9][0-9]{0,17}")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]


_hub = Hub(CHANNEL)


def stream_slug(path: str) -> str | None:
    """The tenancy's slug, where this is the path of a stream."""
    match = _STREAM_PATH.fullmatch(path)
    return match[1] if match else None


_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="stream-context")


async def _admitted(scope: Scope) -> tuple[StreamContext, int] | None:
    """Away from the event loop; the connection to PostgreSQL is not kept."""

    def look_up() -> tuple[StreamContext, int] | None:
        try:
            return _admit(scope)
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(_threads, look_up)


async def serve_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """One stream, from its first bytes to its end: lost access, five minutes, or the reader's leaving."""
    if scope["method"] != "GET":
        await _refuse(send, 405)
        return
    admitted = await _admitted(scope)
    if admitted is None:
        await _refuse(send, 404)
        return

    context, revision = admitted
    last_seen = _last_event_id(scope)
    is_list = context.topic_id == EVERY_TOPIC  # its numbers are those of one connection: the page looks by itself
    subscription = Subscription(context, revision if last_seen is None or is_list else last_seen)
    _hub.join(subscription)
    try:
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        await _send_piece(send, b": listening\nretry: 2000\n\n")
        if subscription.revision < revision:
            await _hub.send_updates([subscription])
        await _relay(subscription, receive, send)
    finally:
        _hub.leave(subscription)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


_SAFE_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),  # nginx would hold back what is small
    *_SAFE_HEADERS,
]


async def _refuse(send: Send, status: int) -> None:
    headers = [(b"content-type", b"text/plain"), *_SAFE_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _admit(scope: Scope) -> tuple[StreamContext, int] | None:
    """Who asks, and the revision of the topic, where they may read it or see the list of topics.

    The same look-ups as for a page.
    """
    is_list = not scope["query_string"]
    topic_id = parse_qs(scope["query_string"].decode("latin-1")).get("topic", [""])[0]
    if not is_list and not _TOPIC_ID.fullmatch(topic_id):
        return None
    request = ASGIRequest(scope, BytesIO())
    if holds_nul(request):
        return None
    request.session = UserSessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = signed_in_user(request)
    if not isinstance(user, User):
        return None
    try:
        member = find_member(user, stream_slug(scope["path"]) or "")
        if is_list and not with_messenger({member.pk}):
            return None
        topic = Topic(pk=EVERY_TOPIC) if is_list else Topic.objects.visible_to(member).get(pk=int(topic_id))
    except (Member.DoesNotExist, Topic.DoesNotExist):
        return None
    context = StreamContext(
        session_key=request.session.session_key or "",
        password=request.session.user.password if request.session.user else None,
        member_id=member.pk,
        topic_id=topic.pk,
        language=user.language,
        time_zone=user.time_zone,
        slug=member.tenancy.slug,
    )
    return context, topic.revision


def _last_event_id(scope: Scope) -> int | None:
    value = dict(scope["headers"]).get(b"last-event-id", b"")
    return int(value) if value.isdigit() and len(value) < 19 else None


async def _relay(subscription: Subscription, receive: Receive, send: Send) -> None:
    loop = asyncio.get_running_loop()
    end = loop.call_later(STREAM_SECONDS, subscription.end)
    leaving = asyncio.create_task(_left(receive))
    leaving.add_done_callback(lambda _: subscription.end())
    _keep_alive(subscription, loop)
    try:
        await subscription.relay(send)
    finally:
        end.cancel()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)


def _keep_alive(subscription: Subscription, loop: asyncio.AbstractEventLoop) -> None:
    # Not a timer for each event, which a thousand streams would start again at each message.
    if not subscription.is_over:
        subscription.send_keepalive()
        loop.call_later(KEEP_ALIVE_SECONDS, _keep_alive, subscription, loop)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_piece(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})
