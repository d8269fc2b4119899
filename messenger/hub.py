"""All listeners of one process: one Redis subscription, and one access query for many of them at once."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection
from redis.asyncio import Redis
from redis.exceptions import RedisError

from messenger.querysets import readable_revisions, with_messenger

log = logging.getLogger(__name__)

T = TypeVar("T")

# Streams end within 5 seconds of losing access.
CHECK_ACCESS_SECONDS = 2
RECONNECT_SECONDS = 1
# How soon the subscription ends after the last listener left.
HEAR_SECONDS = 1

_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="stream-access")


async def in_database_thread(work: Callable[[], T]) -> T:
    """Run a look-up away from the event loop; its connection to PostgreSQL is not kept."""

    def look_up() -> T:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(_threads, look_up)


# In place of a topic's id: the stream of a topic list, which is told that some topic of it changed.
EVERY_TOPIC = 0


class Listener:
    """One open stream: whose it is, which topic's, and the newest revision that it was not told yet."""

    def __init__(self, member_id: int, topic_id: int, known_revision: int) -> None:
        self.member_id = member_id
        self.topic_id = topic_id
        self.is_shut_out = False
        self.is_over = False
        self._revision = known_revision
        self._news = asyncio.Event()

    def tell(self, revision: int) -> None:
        """There is this revision; told twice or late, nothing happens."""
        if revision > self._revision:
            self._revision = revision
            self._news.set()

    def tell_once_more(self) -> None:
        """Something changed that has no revision of its own: a topic of a list."""
        self.tell(self._revision + 1)

    def end(self) -> None:
        """Close the stream; its page may come back and ask again."""
        self.is_over = True
        self._news.set()

    def shut_out(self) -> None:
        """Close the stream for good: its member may not read the topic any more."""
        self.is_shut_out = True
        self.end()

    async def next_revision(self) -> int | None:
        """The newest revision, once there is one; None when the stream is to end instead."""
        await self._news.wait()
        self._news.clear()
        return None if self.is_over else self._revision


class Hub:
    """Tells the listeners of a process what Redis announces; runs while there are any."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._listeners: dict[int, set[Listener]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def join(self, listener: Listener) -> None:
        self._listeners.setdefault(listener.topic_id, set()).add(listener)
        for work in (self._hear, self._check_access):
            task = self._tasks.get(work.__name__)
            if task is None or task.done():
                self._tasks[work.__name__] = asyncio.create_task(self._while_there_are_listeners(work))

    def leave(self, listener: Listener) -> None:
        of_topic = self._listeners.get(listener.topic_id, set())
        of_topic.discard(listener)
        if not of_topic:
            self._listeners.pop(listener.topic_id, None)

    async def _while_there_are_listeners(self, work: Callable[[], Awaitable[None]]) -> None:
        # Ends by itself: a cancellation can get lost in what a Redis client awaits, and the task would stay.
        while self._listeners:
            try:
                await work()
            except (RedisError, OSError) as error:
                log.warning("live stream without Redis (%s)", type(error).__name__)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear(self) -> None:
        async with Redis.from_url(settings.REDIS_URL) as redis, redis.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            while self._listeners:
                event = await subscription.get_message(ignore_subscribe_messages=True, timeout=HEAR_SECONDS)
                topic_id = _announced_topic(event) if event else None
                if topic_id is not None:
                    await self._announce(topic_id)

    async def _announce(self, topic_id: int) -> None:
        await self._look(list(self._listeners.get(topic_id, ())))
        await self._tell_lists(topic_id)

    async def _tell_lists(self, topic_id: int) -> None:
        """One query for all open lists: whose of them hold this topic."""
        lists = list(self._listeners.get(EVERY_TOPIC, ()))
        if not lists:
            return
        members = {listener.member_id for listener in lists}
        readers = await self._ask(lists, lambda: readable_revisions(members, {topic_id}))
        for listener in lists:
            if readers and (listener.member_id, topic_id) in readers:
                listener.tell_once_more()

    async def _check_access(self) -> None:
        while self._listeners:
            await asyncio.sleep(CHECK_ACCESS_SECONDS)
            topics = {topic: listeners for topic, listeners in self._listeners.items() if topic != EVERY_TOPIC}
            await self._look([listener for of_topic in topics.values() for listener in of_topic])
            await self._look_at_lists()

    async def _look_at_lists(self) -> None:
        """Shut out those who are in no active group any more."""
        lists = list(self._listeners.get(EVERY_TOPIC, ()))
        if not lists:
            return
        members = {listener.member_id for listener in lists}
        admitted = await self._ask(lists, lambda: with_messenger(members))
        for listener in lists:
            if admitted is not None and listener.member_id not in admitted:
                listener.shut_out()

    async def _ask(self, listeners: Collection[Listener], question: Callable[[], T]) -> T | None:
        """The answer of the database about these listeners; where there is none, their streams end."""
        try:
            return await in_database_thread(question)
        except Exception:
            log.exception("access of live streams could not be checked; ending them")
            for listener in listeners:
                listener.end()
            return None

    async def _look(self, listeners: list[Listener]) -> None:
        """Tell those who may read their topic its revision, and shut the others out.

        What is told comes from the same query as the access: an announcement says only that it is worth
        looking, and one that was lost is made good at the next look. Where we can't know, all streams end.
        """
        if not listeners:
            return
        members = {listener.member_id for listener in listeners}
        topics = {listener.topic_id for listener in listeners}
        revisions = await self._ask(listeners, lambda: readable_revisions(members, topics))
        if revisions is None:
            return
        for listener in listeners:
            revision = revisions.get((listener.member_id, listener.topic_id))
            if revision is None:
                listener.shut_out()
            else:
                listener.tell(revision)


def _announced_topic(event: dict[str, Any]) -> int | None:
    """The topic that an announcement is about; None for what is no announcement of ours."""
    try:
        return int(json.loads(event["data"])["topic"])
    except (ValueError, KeyError, TypeError, OverflowError):
        log.warning("not an announcement, on the channel of live streams")
        return None
