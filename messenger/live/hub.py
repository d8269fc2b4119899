"""All streams of one process share one Redis subscription, one database connection, and batches of updates."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

from django.conf import settings
from django.utils import timezone
from redis.asyncio import Redis
from redis.exceptions import RedisError

from accounts.sessions import STILL_OPEN
from messenger.live.database_thread import DatabaseThread
from messenger.live.stream_access import members_with_messenger, readable_revisions
from messenger.live.subscription import EVERY_TOPIC, Subscription
from messenger.live.updates import CloseReason, Update, collect_updates

log = logging.getLogger(__name__)

T = TypeVar("T")

# Streams end within 5 seconds of losing access.
CHECK_ACCESS_SECONDS = 2
RECONNECT_SECONDS = 1
# How long a read from Redis waits: the Redis subscription ends this soon after the last stream.
READ_SECONDS = 1
# How many streams make a batch. The next batch is collected while the bytes of the previous one go out.
BATCH_LENGTH = 250

_database = DatabaseThread()


class Hub:
    """Passes what Redis announces on to the streams of a process; runs as long as there are any."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._subscriptions: dict[int, set[Subscription]] = {}  # by topic
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def join(self, subscription: Subscription) -> None:
        self._subscriptions.setdefault(subscription.context.topic_id, set()).add(subscription)
        for work in (self._read_channel, self._check_access):
            task = self._tasks.get(work.__name__)
            if task is None or task.done():
                self._tasks[work.__name__] = asyncio.create_task(self._while_there_are_streams(work))

    def leave(self, subscription: Subscription) -> None:
        topic_id = subscription.context.topic_id
        of_topic = self._subscriptions.get(topic_id, set())
        of_topic.discard(subscription)
        if not of_topic:
            self._subscriptions.pop(topic_id, None)

    async def _while_there_are_streams(self, work: Callable[[], Awaitable[None]]) -> None:
        # The tasks end by themselves: a cancellation can get lost inside the Redis client, and the task would stay.
        while self._subscriptions:
            try:
                await work()
            except (RedisError, OSError) as error:
                log.warning("live stream without Redis (%s)", type(error).__name__)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _read_channel(self) -> None:
        async with Redis.from_url(settings.REDIS_URL) as redis, redis.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            while self._subscriptions:
                received = await pubsub.get_message(ignore_subscribe_messages=True, timeout=READ_SECONDS)
                topic_id = _announced_topic(received) if received else None
                if topic_id is not None:
                    await self._send_change(topic_id)

    async def _send_change(self, topic_id: int) -> None:
        await self.send_updates(list(self._subscriptions.get(topic_id, ())))
        await self._update_lists(topic_id)

    async def _update_lists(self, topic_id: int) -> None:
        """One query for all open topic lists: which of their members read this topic."""
        lists = list(self._subscriptions.get(EVERY_TOPIC, ()))
        if not lists:
            return
        members = {subscription.context.member_id for subscription in lists}
        readers = await self._query_for(lists, lambda: readable_revisions(members, {topic_id}))
        for subscription in lists:
            if readers and (subscription.context.member_id, topic_id) in readers:
                subscription.send_list_changed()

    async def _check_access(self) -> None:
        while self._subscriptions:
            await asyncio.sleep(CHECK_ACCESS_SECONDS)
            topics = {
                topic: subscriptions for topic, subscriptions in self._subscriptions.items() if topic != EVERY_TOPIC
            }
            await self.send_updates([subscription for of_topic in topics.values() for subscription in of_topic])
            await self._check_access_of_lists()

    async def _check_access_of_lists(self) -> None:
        """End the streams of signed-out users; revoke those of members who are in no active group any more."""
        lists = list(self._subscriptions.get(EVERY_TOPIC, ()))
        if not lists:
            return
        members = {subscription.context.member_id for subscription in lists}
        keys = [subscription.context.session_key for subscription in lists]
        result = await self._query_for(
            lists, lambda: (dict(STILL_OPEN(keys, timezone.now())), members_with_messenger(members))
        )
        if result is None:
            return
        sessions, members_with_access = result
        for subscription in lists:
            context = subscription.context
            if context.session_key not in sessions or sessions[context.session_key] != context.password:
                subscription.end()
            elif context.member_id not in members_with_access:
                subscription.revoke()

    async def _query_for(self, subscriptions: Collection[Subscription], query: Callable[[], T]) -> T | None:
        """The result of a query about these streams. If it fails, they all end, and the result is None."""
        try:
            return await _database.run(query)
        except Exception:
            log.exception("access of live streams could not be checked; ending them")
            for subscription in subscriptions:
                subscription.end()
            return None

    async def send_updates(self, subscriptions: Sequence[Subscription]) -> None:
        """Send the latest changes to those who may read their topic; revoke or end the streams of all others.

        Changes and access come from one snapshot. An announcement only triggers this; if it was lost, the next call
        makes up for it. If access can't be checked, all these streams end.
        """
        loop = asyncio.get_running_loop()
        batches = [subscriptions[start : start + BATCH_LENGTH] for start in range(0, len(subscriptions), BATCH_LENGTH)]
        requests = [[(subscription.context, subscription.revision) for subscription in batch] for batch in batches]

        def on_batch(number: int, updates: list[Update | CloseReason | None]) -> None:
            loop.call_soon_threadsafe(_send_batch, batches[number], updates)

        await self._query_for(subscriptions, lambda: collect_updates(requests, on_batch))


def _send_batch(subscriptions: Sequence[Subscription], updates: Sequence[Update | CloseReason | None]) -> None:
    for subscription, update in zip(subscriptions, updates, strict=True):
        if update is CloseReason.NO_ACCESS:
            subscription.revoke()
        elif update is CloseReason.SIGNED_OUT:
            subscription.end()  # the page requests the stream again and learns that its user is signed out
        elif update is not None:
            subscription.send(update.revision, update.event)


def _announced_topic(received: dict[str, Any]) -> int | None:
    """The id of the topic that changed, or None for anything but an announcement of messenger/events.py."""
    try:
        return int(json.loads(received["data"])["topic"])
    except (ValueError, KeyError, TypeError, OverflowError):
        log.warning("not an announcement, on the channel of live streams")
        return None
