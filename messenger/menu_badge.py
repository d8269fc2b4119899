"""How many topics have something unread, remembered in Redis for the menu that stands on every page.

To count them means to look at each topic of each group that one is in. The number is good until something is said in
the tenancy, or its member reads; without Redis it is counted each time.
"""

import secrets
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from redis.exceptions import RedisError

from ippex_messenger.breaker import redis_breaker
from ippex_messenger.redis_client import redis
from tenancy.models import Member

# What changes what one may read without a word in its topics is noticed within this time.
REMEMBERED_SECONDS = 60
# A mark outlives what was remembered under it.
MARK_SECONDS = 10 * REMEMBERED_SECONDS


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


def mark_of_tenancy(tenancy_pk: int) -> str:
    """The key of what changes with everything that is said in a tenancy; `new_mark()` is its value."""
    return f"unread:tenancy:{tenancy_pk}"


def new_mark() -> str:
    return secrets.token_hex(6)


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
