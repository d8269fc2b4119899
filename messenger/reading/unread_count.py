"""How many topics have unread messages, cached in Redis for the menu on every page.

Counting visits every topic of every group that the member is in. A cached count is valid until something is published
in the tenancy or the member reads. Without Redis, it is counted for every page.
"""

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from redis.exceptions import RedisError

from common.caching.circuit_breaker import redis_breaker
from common.caching.redis_client import redis
from common.database.prepared import Prepared
from messenger.events import VERSION_SECONDS, new_version, tenancy_version_key
from messenger.models import Topic
from messenger.reading.annotations import MAX_COUNTED, unread_by
from tenancy.models import Member

# A change of access without a change in the topics is noticed within this time.
CACHE_SECONDS = 60


UNREAD_TOPICS = Prepared(
    "unread_topics",
    lambda member: (
        unread_by(Topic.objects.visible_to(Member(pk=member)), Member(pk=member))
        .order_by()
        .values_list("pk")[: MAX_COUNTED + 1]
    ),
    "bigint",
)


def count_unread_topics(member: Member) -> int:
    """How many topics have unread messages, for the main menu; MAX_COUNTED + 1 stands for any larger number."""
    return _cached(member, lambda: len(UNREAD_TOPICS(member.pk)))


def _cached(member: Member, count: Callable[[], int]) -> int:
    """The cached result of `count()`, unless the version of the tenancy or of the member has changed since."""
    key = f"unread:count:{member.pk}"
    if redis_breaker.is_open or connection.in_atomic_block:  # uncommitted changes must not get into the cache
        return count()
    try:
        reply: Any = redis().mget(tenancy_version_key(member.tenancy_id), _member_version_key(member.pk), key)
        *versions, cached = reply
        # Read the versions before counting: a change in the meantime makes the number outdated at once.
        version = b"/".join(part or b"" for part in versions)
        if cached is not None and cached.rpartition(b"=")[0] == version:
            return int(cached.rpartition(b"=")[2])
        number = count()
        redis().set(key, b"%s=%d" % (version, number), ex=CACHE_SECONDS)
    except RedisError:
        redis_breaker.trip()
        return count()
    return number


def invalidate_count_after_commit(member: Member) -> None:
    """Call this when the member has read something, or has marked it as unread."""

    def invalidate() -> None:
        if redis_breaker.is_open:
            return
        try:
            redis().set(_member_version_key(member.pk), new_version(), ex=VERSION_SECONDS)
        except RedisError:
            redis_breaker.trip()

    transaction.on_commit(invalidate, robust=True)


def _member_version_key(member_pk: int) -> str:
    return f"unread:member:{member_pk}"
