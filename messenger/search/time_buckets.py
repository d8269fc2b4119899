"""The numbers under which the index of words keeps a message: its tenancy, topic, author, and stretches of time.

The migration 0010 counts the same in SQL.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

# The SQL of all numbers of a message, as the index has it.
BUCKETS = "messenger_places(tenancy_id, topic_id, author_id, posted_at)"

_TENANCY, _TOPIC, _AUTHOR, _BUCKETS = 0, 1, 2, 3
# Of each length of stretch: its seconds, as a power of two. 2.3 hours, 18 hours, 6 days, 49 days, 388 days.
_POWERS = (13, 16, 19, 22, 25)
# So many stretches side by side are asked for before longer ones are: together at most a seventh too long.
_MOST_BUCKETS = 8
SHORTEST = timedelta(seconds=2 ** _POWERS[0])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def of_topics(topics: Iterable[int]) -> list[int]:
    return [topic << 4 | _TOPIC for topic in topics]


def of_authors(authors: Iterable[int]) -> list[int]:
    return [author << 4 | _AUTHOR for author in authors]


def of_time(tenancy: int, since: datetime, until: datetime) -> list[int]:
    """Those that together hold all messages of a tenancy from that time, and few others."""
    buckets = _side_by_side(since, until)
    if buckets is None:
        return of_tenancy(tenancy)
    kind, numbers = buckets
    return [((tenancy << 24 | number) << 4) | kind + _BUCKETS for number in numbers]


def beginning(since: datetime, until: datetime) -> datetime:
    """From when on these hold all messages: a little before `since`."""
    buckets = _side_by_side(since, until)
    if buckets is None:
        return since
    kind, numbers = buckets
    return _EPOCH + timedelta(seconds=numbers[0] << _POWERS[kind])


def _side_by_side(since: datetime, until: datetime) -> tuple[int, range] | None:
    """The shortest stretches that are not too many, and their numbers; None, where there are none so long."""
    for kind, power in enumerate(_POWERS):
        first, last = ((moment - _EPOCH) // timedelta(seconds=1) >> power for moment in (since, until))
        if last - first <= _MOST_BUCKETS:
            return kind, range(first, max(last, first) + 1)
    return None


def of_tenancy(tenancy: int) -> list[int]:
    return [tenancy << 4 | _TENANCY]
