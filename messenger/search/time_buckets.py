"""The numbers that the text index stores for each message: its tenancy, topic, author and time buckets.

A time bucket is a time range of one tenancy. The SQL function of migration 0010 must compute the same numbers.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

# SQL for all numbers of a message, as the index has them.
BUCKETS = "messenger_places(tenancy_id, topic_id, author_id, posted_at)"

_TENANCY, _TOPIC, _AUTHOR, _BUCKETS = 0, 1, 2, 3
# The seconds of each bucket length, as a power of two: 2.3 hours, 18 hours, 6 days, 49 days, 388 days.
_POWERS = (13, 16, 19, 22, 25)
# A time range that needs more buckets than this uses longer ones instead.
_MAX_BUCKETS = 8
SHORTEST = timedelta(seconds=2 ** _POWERS[0])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def of_tenancy(tenancy: int) -> list[int]:
    return [tenancy << 4 | _TENANCY]


def of_topics(topics: Iterable[int]) -> list[int]:
    return [topic << 4 | _TOPIC for topic in topics]


def of_authors(authors: Iterable[int]) -> list[int]:
    return [author << 4 | _AUTHOR for author in authors]


def of_time(tenancy: int, since: datetime, until: datetime) -> list[int]:
    """Buckets that contain all messages of a tenancy in this time range, and few others."""
    buckets = _covering_buckets(since, until)
    if buckets is None:
        return of_tenancy(tenancy)
    kind, numbers = buckets
    return [((tenancy << 24 | number) << 4) | kind + _BUCKETS for number in numbers]


def covered_since(since: datetime, until: datetime) -> datetime:
    """The moment at which the first bucket of `of_time` begins: `since`, or a little earlier."""
    buckets = _covering_buckets(since, until)
    if buckets is None:
        return since
    kind, numbers = buckets
    return _EPOCH + timedelta(seconds=numbers[0] << _POWERS[kind])


def _covering_buckets(since: datetime, until: datetime) -> tuple[int, range] | None:
    """The shortest buckets of which few enough cover the range: their index in _POWERS, and their numbers.

    None if even the longest buckets are too many.
    """
    for kind, power in enumerate(_POWERS):
        first, last = ((moment - _EPOCH) // timedelta(seconds=1) >> power for moment in (since, until))
        if last - first <= _MAX_BUCKETS:
            return kind, range(first, max(last, first) + 1)
    return None
