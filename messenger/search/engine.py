"""Search over the messages that a member may read: newest hits first, page by page, without OFFSET and COUNT.

Frequent words are found by scanning back from the newest message, all others by the index, in time ranges that grow
until a page is full (docs/decisions/0027-search-by-time-range.md, and 0019).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.postgres.search import SearchHeadline
from django.db.models import F, Func, QuerySet, Value

from common.database.prepared import Prepared
from messenger.models import Message
from messenger.search import time_buckets
from messenger.search.hits import COLUMNS, START, STOP, Hit
from messenger.search.lookup import look_up
from messenger.search.query import (
    CONFIGURATION,
    JOINERS,
    PARSED_QUERY,
    Query,
    Words,
    parse_result,
    to_websearch,
)
from messenger.search.scan import Sample, scan
from messenger.search.scope import Cursor, Deadline, Scope, search_deadline
from tenancy.models import Member

PAGE_LENGTH = 20
# How many of the newest messages are scanned before the index is used: takes a millisecond or two.
SCAN_LENGTH = 1_000
# If that is likely to fill the page, the scan is repeated for this many times as many messages: it costs no more than
# a lookup.
SCAN_GROWTH = 5
# The first time range is to contain this many pages of hits, provided that the word is as frequent there as among the
# scanned messages: another lookup costs more than fetching a few hits too many.
PAGES_EXPECTED = 1.5
# Each time range is this many times as long as the one before it; the last one is everything that is left.
GROWTH = 16
TIME_RANGES = 4
# If there is no hit at all after this many time ranges, everything that is left comes next. One range would be too few:
# after a sudden burst the newest messages lie close together. If topics or authors were chosen, which may have been
# silent lately, one more range is tried.
EMPTY_TIME_RANGES = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class HitPage:
    hits: list[Hit]
    next: Cursor | None  # where the next page begins


def find(reader: Member, text: str, scope: Scope) -> HitPage:
    """A page of the messages in `scope` that match the text as typed, newest first.

    Raises NothingToFindError if the text contains no word to look for, SearchTimeoutError if it takes too long.
    """
    with search_deadline() as deadline:
        query, found = _newest_hits(deadline, reader, to_websearch(text), scope)
        hits = _fetch(deadline, scope, query, [cursor.pk for cursor in found[:PAGE_LENGTH]]) if found else []
    return HitPage(hits, found[PAGE_LENGTH - 1] if len(found) > PAGE_LENGTH else None)


def _newest_hits(deadline: Deadline, reader: Member, words: Words, scope: Scope) -> tuple[Query, list[Cursor]]:
    """The hits of a page, and one more if there is another page."""
    if scope.length is not None and scope.length <= SCAN_LENGTH:
        query = parse_result(*deadline.run(PARSED_QUERY, *words)[0])
        return query, look_up(deadline, scope, query, "", None, PAGE_LENGTH + 1)
    scanned, (query, found, sample) = SCAN_LENGTH, scan(deadline, reader, words, scope, SCAN_LENGTH, PAGE_LENGTH + 1)
    if sample and len(found) <= PAGE_LENGTH < len(found) * SCAN_GROWTH:
        scanned = SCAN_GROWTH * SCAN_LENGTH
        query, found, sample = scan(deadline, reader, words, scope, scanned, PAGE_LENGTH + 1)
    if sample:
        found += _look_up_growing_ranges(deadline, reader, query, scope, sample, scanned, len(found))
    return query, found[: PAGE_LENGTH + 1]


def _look_up_growing_ranges(
    deadline: Deadline, reader: Member, query: Query, scope: Scope, sample: Sample, scanned: int, count: int
) -> list[Cursor]:
    """The newest hits older than the `scanned` messages, among which `count` were found.

    Searches as few messages as are likely to fill the page; each lookup continues where the previous one ended.
    """
    skips_prefix = sample.has_frequent_prefix and (query.rest or scope.is_narrow)
    indexed_query = query.rest if skips_prefix else query.whole
    # The average of the older half of the scan: a long silence between newer messages does not concern older ones.
    gap = (sample.middle - sample.last.posted_at) / (scanned / 2)
    length = max(gap * (scanned / max(count, 1)) * PAGE_LENGTH * PAGES_EXPECTED, time_buckets.SHORTEST)
    found, end = list[Cursor](), sample.last
    for number, time_range in enumerate(_time_ranges(reader, sample, length)):
        is_worthwhile = count + len(found) > 0 or number < EMPTY_TIME_RANGES + scope.is_narrow
        if not is_worthwhile or (scope.since and time_range.since <= scope.since):
            break
        range_scope = replace(scope, before=end, since=time_range.since)
        found += look_up(deadline, range_scope, query, indexed_query, time_range.buckets, PAGE_LENGTH + 1)
        if count + len(found) > PAGE_LENGTH:
            return found
        end = Cursor(time_range.since, 0)
    buckets = None
    if scope.since:
        buckets = time_buckets.of_time(reader.tenancy_id, scope.since, end.posted_at)
    elif scope.topics is None:
        buckets = time_buckets.of_tenancy(reader.tenancy_id)
    return found + look_up(deadline, replace(scope, before=end), query, indexed_query, buckets, PAGE_LENGTH + 1)


class TimeRange(NamedTuple):
    since: datetime
    buckets: list[int]  # contain all messages from `since` up to the previous range


def _time_ranges(reader: Member, sample: Sample, length: timedelta) -> Iterator[TimeRange]:
    """Growing time ranges, back from the scanned messages; the first has this length, or slightly more."""
    end, extra_buckets = sample.last.posted_at, list[int]()
    if sample.earlier and end - sample.earlier > 2 * time_buckets.SHORTEST:
        # The scanned messages follow a silence. The first range begins at its far end, but also covers what may remain
        # of their burst on this side of it.
        extra_buckets = time_buckets.of_time(reader.tenancy_id, end - time_buckets.SHORTEST, end)
        end = sample.earlier
    start = end
    for _ in range(TIME_RANGES):
        if length >= start - _EPOCH:
            return
        since = time_buckets.covered_since(start - length, end)
        yield TimeRange(since, extra_buckets + time_buckets.of_time(reader.tenancy_id, since, end))
        extra_buckets, end, length = [], since, length * GROWTH


def _marked(groups: list[int], query: str, pks: list[int]) -> QuerySet[Message, tuple[Any, ...]]:
    # Each joiner or marker becomes one space, so that words have the same positions as in the body.
    separated = Func(F("body"), Value(JOINERS + START + STOP), Value(" " * (len(JOINERS) + 2)), function="translate")
    marked = SearchHeadline(
        separated,
        Func(Value(query), template="%(expressions)s::tsquery"),  # type: ignore[arg-type]
        config=CONFIGURATION,
        start_sel=START,
        stop_sel=STOP,
        highlight_all=True,
    )
    return (
        Message.objects.active_in(groups)
        .filter(pk__one_of=pks)
        .annotate(marked=marked)
        .order_by("-posted_at", "-pk")
        .values_list(*COLUMNS)
    )


MARKED = Prepared("marked_messages", _marked, "bigint[]", "text", "bigint[]")


def _fetch(deadline: Deadline, scope: Scope, query: Query, pks: list[int]) -> list[Hit]:
    """The hits of a page; the access rule is applied to all of them once more."""
    return [Hit._make(values) for values in deadline.run(MARKED, list(scope.groups), query.whole, pks)]
