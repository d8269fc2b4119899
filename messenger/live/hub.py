"""All listeners of one process: one Redis subscription, one connection to the database, one look for many of them."""

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
from messenger.live.listeners import readable_revisions, with_messenger
from messenger.live.subscription import EVERY_TOPIC, Subscription
from messenger.live.updates import CloseReason, Update, collect_updates

log = logging.getLogger(__name__)

T = TypeVar("T")

# Streams end within 5 seconds of losing access.
CHECK_ACCESS_SECONDS = 2
RECONNECT_SECONDS = 1
# How soon the subscription ends after the last listener left.
HEAR_SECONDS = 1
# Of a look: how many listeners at once. The next ones are looked up while the bytes of the first go out.
LOOK_AT = 250

_database = DatabaseThread()


class Hub:
    """Tells the listeners of a process what Redis announces; runs while there are any."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._subscriptions: dict[int, set[Subscription]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def join(self, subscription: Subscription) -> None:
        self._subscriptions.setdefault(subscription.context.topic_id, set()).add(subscription)
        for work in (self._hear, self._check_access):
            task = self._tasks.get(work.__name__)
            if task is None or task.done():
                self._tasks[work.__name__] = asyncio.create_task(self._while_there_are_listeners(work))

    def leave(self, subscription: Subscription) -> None:
        topic_id = subscription.context.topic_id
        of_topic = self._subscriptions.get(topic_id, set())
        of_topic.discard(subscription)
        if not of_topic:
            self._subscriptions.pop(topic_id, None)

    async def _while_there_are_listeners(self, work: Callable[[], Awaitable[None]]) -> None:
        # Ends by itself: a cancellation can get lost in what a Redis client awaits, and the task would stay.
        while self._subscriptions:
            try:
                await work()
            except (RedisError, OSError) as error:
                log.warning("live stream without Redis (%s)", type(error).__name__)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear(self) -> None:
        async with Redis.from_url(settings.REDIS_URL) as redis, redis.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            while self._subscriptions:
                event = await subscription.get_message(ignore_subscribe_messages=True, timeout=HEAR_SECONDS)
                topic_id = _announced_topic(event) if event else None
                if topic_id is not None:
                    await self._announce(topic_id)

    async def _announce(self, topic_id: int) -> None:
        await self.send_updates(list(self._subscriptions.get(topic_id, ())))
        await self._tell_lists(topic_id)

    async def _tell_lists(self, topic_id: int) -> None:
        """One query for all open lists: whose of them hold this topic."""
        lists = list(self._subscriptions.get(EVERY_TOPIC, ()))
        if not lists:
            return
        members = {subscription.context.member_id for subscription in lists}
        readers = await self._ask(lists, lambda: readable_revisions(members, {topic_id}))
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
            await self._look_at_lists()

    async def _look_at_lists(self) -> None:
        """Shut out those who are in no active group any more, and end the streams of those who are signed out."""
        lists = list(self._subscriptions.get(EVERY_TOPIC, ()))
        if not lists:
            return
        members = {subscription.context.member_id for subscription in lists}
        keys = [subscription.context.session_key for subscription in lists]
        answer = await self._ask(lists, lambda: (dict(STILL_OPEN(keys, timezone.now())), with_messenger(members)))
        if answer is None:
            return
        sessions, admitted = answer
        for subscription in lists:
            context = subscription.context
            if context.session_key not in sessions or sessions[context.session_key] != context.password:
                subscription.end()
            elif context.member_id not in admitted:
                subscription.revoke()

    async def _ask(self, subscriptions: Collection[Subscription], question: Callable[[], T]) -> T | None:
        """The answer of the database about these listeners; where there is none, their streams end."""
        try:
            return await _database.answer(question)
        except Exception:
            log.exception("access of live streams could not be checked; ending them")
            for subscription in subscriptions:
                subscription.end()
            return None

    async def send_updates(self, subscriptions: Sequence[Subscription]) -> None:
        """Tell those who may read their topic what is new in it, and shut the others out.

        What is told comes from the same look as the access: an announcement says only that it is worth
        looking, and one that was lost is made good at the next look. Where we can't know, all streams end.
        """
        loop = asyncio.get_running_loop()
        batches = [subscriptions[start : start + LOOK_AT] for start in range(0, len(subscriptions), LOOK_AT)]
        asked = [[(subscription.context, subscription.revision) for subscription in batch] for batch in batches]

        def answer(number: int, found: list[Update | CloseReason | None]) -> None:
            loop.call_soon_threadsafe(_tell, batches[number], found)

        await self._ask(subscriptions, lambda: collect_updates(asked, answer))


def _tell(subscriptions: Sequence[Subscription], found: Sequence[Update | CloseReason | None]) -> None:
    for subscription, one in zip(subscriptions, found, strict=True):
        if one is CloseReason.NO_ACCESS:
            subscription.revoke()
        elif one is CloseReason.SIGNED_OUT:
            subscription.end()  # the page asks again, and is told so
        elif one is not None:
            subscription.send(one.revision, one.event)


def _announced_topic(event: dict[str, Any]) -> int | None:
    """The topic that an announcement is about; None for what is no announcement of ours."""
    try:
        return int(json.loads(event["data"])["topic"])
    except (ValueError, KeyError, TypeError, OverflowError):
        log.warning("not an announcement, on the channel of live streams")
        return None
