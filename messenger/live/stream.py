"""The live stream: server-sent events with what is new in an open thread.

An event contains what changed in a topic since the previous event (updates.py). If that is too much, it contains the
revision only, and the page requests the changes (`messages/?since=`). `serve_stream` is a bare ASGI callable (see
ippex_messenger/asgi.py).
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
from messenger.live.stream_access import members_with_messenger
from messenger.live.subscription import EVERY_TOPIC, Send, Subscription
from messenger.live.updates import StreamContext
from messenger.models import Topic
from tenancy.middleware import find_member
from tenancy.models import Member
from tenancy.page_owner import FIELD, is_made_for_another, owners_in_header
from tenancy.validators import SLUG_PATTERN

log = logging.getLogger(__name__)

# EventSource reconnects by itself, and then what its reader changed in their profile takes effect.
STREAM_SECONDS = 5 * 60
# Proxies close connections after a minute of silence, or less.
KEEP_ALIVE_SECONDS = 15

_STREAM_PATH = re.compile(rf"/({SLUG_PATTERN})/messenger/stream/")
_TOPIC_ID = re.compile(r"[1-9][0-9]{0,17}")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]


_hub = Hub(CHANNEL)


def stream_slug(path: str) -> str | None:
    """The tenancy's slug if this is the path of a stream, else None."""
    match = _STREAM_PATH.fullmatch(path)
    return match[1] if match else None


_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="stream-context")


class StreamRefusedError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def _authorize_in_thread(scope: Scope) -> tuple[StreamContext, int]:
    """As `_authorize`, in a thread, which closes its connection to PostgreSQL afterwards."""

    def authorize_and_close() -> tuple[StreamContext, int]:
        try:
            return _authorize(scope)
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(_threads, authorize_and_close)


async def serve_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one stream until its member loses access, the client disconnects, or STREAM_SECONDS have passed."""
    if scope["method"] != "GET":
        await _refuse(send, 405)
        return
    try:
        context, revision = await _authorize_in_thread(scope)
    except StreamRefusedError as refused:
        await _refuse(send, refused.status)
        return

    last_seen = _last_event_id(scope)
    # A list's event ids mean nothing on a new connection: after reconnecting, the page requests the list by itself.
    is_list = context.topic_id == EVERY_TOPIC
    subscription = Subscription(context, revision if last_seen is None or is_list else last_seen)
    _hub.join(subscription)
    try:
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        await _send_chunk(send, b": listening\nretry: 2000\n\n")
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
    (b"x-accel-buffering", b"no"),  # nginx would hold small chunks back
    *_SAFE_HEADERS,
]


async def _refuse(send: Send, status: int) -> None:
    headers = [(b"content-type", b"text/plain"), *_SAFE_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _authorize(scope: Scope) -> tuple[StreamContext, int]:
    """Who requests the stream, and the topic's revision. Uses the same lookups as a page.

    Raises StreamRefusedError: 404 unless they may read the topic, or see the topic list; 409 if the page was made for
    another member.
    """
    query = _query_of(scope)
    is_list = not query.keys() - {FIELD}
    topic_id = query.get("topic", [""])[0]
    if not is_list and not _TOPIC_ID.fullmatch(topic_id):
        raise StreamRefusedError(404)
    request = ASGIRequest(scope, BytesIO())
    if holds_nul(request):
        raise StreamRefusedError(404)
    request.session = UserSessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = signed_in_user(request)
    if not isinstance(user, User):
        raise StreamRefusedError(404)
    member = _member_of_page(user, scope, [*query.get(FIELD, []), *owners_in_header(request)])
    if is_list and not members_with_messenger({member.pk}):
        raise StreamRefusedError(404)
    try:
        topic = Topic(pk=EVERY_TOPIC) if is_list else Topic.objects.visible_to(member).get(pk=int(topic_id))
    except Topic.DoesNotExist:
        raise StreamRefusedError(404) from None
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


def _query_of(scope: Scope) -> dict[str, list[str]]:
    try:
        return parse_qs(scope["query_string"].decode(), keep_blank_values=True)
    except UnicodeDecodeError:
        raise StreamRefusedError(404) from None


def _member_of_page(user: User, scope: Scope, owners: list[str]) -> Member:
    """The user's membership, for which the page must have been made that requests the stream."""
    try:
        member = find_member(user, stream_slug(scope["path"]) or "")
    except Member.DoesNotExist:
        raise StreamRefusedError(409 if is_made_for_another(owners, user, None) else 404) from None
    if is_made_for_another(owners, user, member):
        raise StreamRefusedError(409)
    return member


def _last_event_id(scope: Scope) -> int | None:
    value = dict(scope["headers"]).get(b"last-event-id", b"")
    return int(value) if value.isdigit() and len(value) < 19 else None


async def _relay(subscription: Subscription, receive: Receive, send: Send) -> None:
    loop = asyncio.get_running_loop()
    end = loop.call_later(STREAM_SECONDS, subscription.end)
    disconnect = asyncio.create_task(_wait_for_disconnect(receive))
    disconnect.add_done_callback(lambda _: subscription.end())
    _keep_alive(subscription, loop)
    try:
        await subscription.relay(send)
    finally:
        end.cancel()
        disconnect.cancel()
        await asyncio.gather(disconnect, return_exceptions=True)


def _keep_alive(subscription: Subscription, loop: asyncio.AbstractEventLoop) -> None:
    # Not restarted by each event: with a thousand streams, each message would restart a thousand timers.
    if not subscription.is_over:
        subscription.send_keepalive()
        loop.call_later(KEEP_ALIVE_SECONDS, _keep_alive, subscription, loop)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})
