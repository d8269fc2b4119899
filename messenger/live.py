"""The live stream: server-sent events that tell an open thread that there is something new.

An event holds a topic's revision and nothing of the dialogue; the page then asks for the messages by
the door that everybody uses. `serve_stream` is a bare ASGI callable (see ippex_messenger/asgi.py).
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.db.models import F, QuerySet
from redis.exceptions import RedisError

from accounts.models import User
from accounts.sessions import SessionStore, signed_in_user
from ippex_messenger.breaker import redis_breaker
from ippex_messenger.middleware import holds_nul
from ippex_messenger.redis_client import redis
from messenger.hub import EVERY_TOPIC, Hub, Listener, in_database_thread
from messenger.menu_badge import MARK_SECONDS, mark_of_tenancy, new_mark
from messenger.models import Message, Topic
from messenger.querysets import with_messenger
from tenancy.middleware import find_member
from tenancy.models import Member
from tenancy.validators import SLUG_PATTERN

log = logging.getLogger(__name__)

CHANNEL = "messenger:topics"

# EventSource reconnects by itself; a short life bounds how long a stream outlives its sign-in.
STREAM_SECONDS = 5 * 60
# Proxies close what is silent for a minute or less.
KEEP_ALIVE_SECONDS = 15

_STREAM_PATH = re.compile(rf"/({SLUG_PATTERN})/messenger/stream/")
_TOPIC_ID = re.compile(r"[1-9][0-9]{0,17}")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


# -- Announcing (in any process) -----------------------------------------------------------------------


def announce_after_commit(topic: Topic) -> None:
    """Tell the streams of this topic, once it is committed, that it is worth looking; menus count what is unread anew.

    Without Redis streams find what is new by themselves, at their next look at who may listen.
    """

    def announce() -> None:
        if redis_breaker.is_open:
            return
        try:
            with redis().pipeline(transaction=False) as pipeline:
                pipeline.publish(CHANNEL, json.dumps({"topic": topic.pk}))
                pipeline.set(mark_of_tenancy(topic.tenancy_id), new_mark(), ex=MARK_SECONDS)
                pipeline.execute()
        except RedisError as error:
            redis_breaker.trip()
            log.warning("Redis away (%s); streams find revision %s by looking", type(error).__name__, topic.revision)

    transaction.on_commit(announce, robust=True)


@transaction.atomic
def touch(message_pk: int) -> None:
    """What is said about a message has changed: its topic has a new revision, and open threads look."""
    topic = Topic.objects.select_for_update(no_key=True).get(messages=message_pk)
    topic.revision += 1
    topic.save(update_fields=["revision"])
    Message.objects.filter(pk=message_pk).update(revision=topic.revision)
    announce_after_commit(topic)


def touch_forecasts(topics: QuerySet[Topic]) -> None:
    """Who would be mailed a next message has changed: open threads ask again, at their streams' next look.

    The caller holds the topics' groups: rows of many topics are locked here in no order.
    """
    topics.update(revision=F("revision") + 1)


# -- Streaming (in the ASGI process) -------------------------------------------------------------------

_hub = Hub(CHANNEL)


def stream_slug(path: str) -> str | None:
    """The tenancy's slug, where this is the path of a stream."""
    match = _STREAM_PATH.fullmatch(path)
    return match[1] if match else None


@dataclass(frozen=True)
class Admission:
    member_id: int
    topic_id: int
    revision: int


async def serve_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """One stream, from its first bytes to its end: lost access, five minutes, or the reader's leaving."""
    if scope["method"] != "GET":
        await _refuse(send, 405)
        return
    admission = await in_database_thread(lambda: _admit(scope))
    if admission is None:
        await _refuse(send, 404)
        return

    last_seen = _last_event_id(scope)
    is_list = admission.topic_id == EVERY_TOPIC  # its numbers are those of one connection: the page looks by itself
    known = admission.revision if last_seen is None or is_list else last_seen
    listener = Listener(admission.member_id, admission.topic_id, known)
    _hub.join(listener)
    try:
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        await _send_text(send, ": listening\nretry: 2000\n\n")
        listener.tell(admission.revision)
        await _first_of(_relay(listener, send), _left(receive))
    finally:
        _hub.leave(listener)
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


def _admit(scope: Scope) -> Admission | None:
    """Who asks, and whether they may read the topic, or see the list of topics: the same look-ups as for a page."""
    is_list = not scope["query_string"]
    topic_id = parse_qs(scope["query_string"].decode("latin-1")).get("topic", [""])[0]
    if not is_list and not _TOPIC_ID.fullmatch(topic_id):
        return None
    request = ASGIRequest(scope, BytesIO())
    if holds_nul(request):
        return None
    request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = signed_in_user(request)
    if not isinstance(user, User):
        return None
    try:
        member = find_member(user, stream_slug(scope["path"]) or "")
        if is_list:
            return Admission(member.pk, EVERY_TOPIC, 0) if with_messenger({member.pk}) else None
        topic = Topic.objects.visible_to(member).get(pk=int(topic_id))
    except (Member.DoesNotExist, Topic.DoesNotExist):
        return None
    return Admission(member.pk, topic.pk, topic.revision)


def _last_event_id(scope: Scope) -> int | None:
    value = dict(scope["headers"]).get(b"last-event-id", b"")
    return int(value) if value.isdigit() and len(value) < 19 else None


async def _relay(listener: Listener, send: Send) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + STREAM_SECONDS
    while (left := end - loop.time()) > 0 and not listener.is_over:
        try:
            revision = await asyncio.wait_for(listener.next_revision(), min(left, KEEP_ALIVE_SECONDS))
        except TimeoutError:
            await _send_text(send, ": still here\n\n")
            continue
        if revision is not None:
            await _send_text(send, _changed(revision))
    if listener.is_shut_out:
        await _send_text(send, "event: gone\ndata: {}\n\n")


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first_of(*waits: Awaitable[None]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _changed(revision: int) -> str:
    return f"id: {revision}\nevent: changed\ndata: {json.dumps({'revision': revision})}\n\n"


async def _send_text(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
