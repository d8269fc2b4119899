"""How many topics have something unread, remembered in Redis for the menu that stands on every page.

To count them means to look at each topic of each group that one is in. The number is good until something is said in
the tenancy, or its member reads; without Redis it is counted each time.
"""

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from redis.exceptions import RedisError

from common.caching.circuit_breaker import redis_breaker
from common.caching.redis_client import redis
from common.database.prepared import Prepared
from messenger.events import MARK_SECONDS, mark_of_tenancy, new_mark
from messenger.models import Topic
from messenger.reading.annotations import unread_by
from tenancy.models import Member

# Where there are more, the main menu says "99+" (as static/js/topic-list.js does).
MOST_COUNTED = 99
# What changes what one may read without a word in its topics is noticed within this time.
REMEMBERED_SECONDS = 60


UNREAD_TOPICS = Prepared(
    "unread_topics",
    lambda member: (
        unread_by(Topic.objects.visible_to(Member(pk=member)), Member(pk=member))
        .order_by()
        .values_list("pk")[: MOST_COUNTED + 1]
    ),
    "bigint",
)


def count_unread_topics(member: Member) -> int:
    """How many topics have something unread, for the main menu; no more are counted than it can say."""
    return remembered(member, lambda: len(UNREAD_TOPICS(member.pk)))


def unread_in_words(topics: int) -> str:
    """As many unread topics as the main menu says."""
    return str(topics) if topics <= MOST_COUNTED else f"{MOST_COUNTED}+"


def remembered(member: Member, count: Callable[[], int]) -> int:
    """What `count()` says, or said when nothing was different."""
    key = f"unread:count:{member.pk}"
    if redis_breaker.is_open or connection.in_atomic_block:  # what is not committed yet is remembered for nobody
        return count()
    try:
        answer: Any = redis().mget(mark_of_tenancy(member.tenancy_id), _mark_of_member(member.pk), key)
        *marks, known = answer
        # Read before counting: whatever changes meanwhile makes the number one of the past at once.
        state = b"/".join(mark or b"" for mark in marks)
        if known is not None and known.rpartition(b"=")[0] == state:
            return int(known.rpartition(b"=")[2])
        number = count()
        redis().set(key, b"%s=%d" % (state, number), ex=REMEMBERED_SECONDS)
    except RedisError:
        redis_breaker.trip()
        return count()
    return number


def count_anew_after_commit(member: Member) -> None:
    """They have read something, or made it unread."""

    def forget() -> None:
        if redis_breaker.is_open:
            return
        try:
            redis().set(_mark_of_member(member.pk), new_mark(), ex=MARK_SECONDS)
        except RedisError:
            redis_breaker.trip()

    transaction.on_commit(forget, robust=True)


def _mark_of_member(member_pk: int) -> str:
    return f"unread:member:{member_pk}"
