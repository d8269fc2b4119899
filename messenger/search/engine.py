"""Search over the messages that one reads: the newest hits first, page by page, without OFFSET and COUNT.

Frequent words are found by walking from the newest message backwards, others by the index, in stretches of time that
grow until a page is full (docs/decisions/0027-search-by-time-range.md, and 0019).
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
from messenger.search.scope import Cursor, Patience, Scope, patient
from tenancy.models import Member

PAGE_LENGTH = 20
# How many of the newest messages are walked through before the index is asked: a millisecond or two.
SCAN_LENGTH = 1_000
# As many more, where that is likely to fill the page: no more than the index would cost.
SCAN_GROWTH = 5
# The first stretch should hold this many pages of hits, if the word is as frequent there as among the messages walked
# through: to look once more costs more than to fetch a few hits in vain.
PAGES_EXPECTED = 1.5
# Each other is so many times as long, the last one is all there is. Where the first two hold nothing, that comes next
# (one would be too few: of a sudden bustle the newest messages lie close together); among certain topics or authors,
# who may have been silent lately, after one more.
GROWTH = 16
TIME_RANGES = 4
EMPTY_TIME_RANGES = 2
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Hits:
    hits: list[Hit]
    next: Cursor | None  # where the next page goes on


def find(reader: Member, text: str, scope: Scope) -> Hits:
    """A page of the messages that hold the words, newest first.

    Raises NothingToFindError for a text without a word, SearchTimeoutError where it takes too long.
    """
    with patient() as patience:
        query, found = _newest_hits(patience, reader, to_websearch(text), scope)
        hits = _fetch(patience, scope, query, [cursor.pk for cursor in found[:PAGE_LENGTH]]) if found else []
    return Hits(hits, found[PAGE_LENGTH - 1] if len(found) > PAGE_LENGTH else None)


def _newest_hits(patience: Patience, reader: Member, words: Words, scope: Scope) -> tuple[Query, list[Cursor]]:
    """One more than a page of them, if there are."""
    if scope.length is not None and scope.length <= SCAN_LENGTH:
        query = parse_result(*patience.ask(PARSED_QUERY, *words)[0])
        return query, look_up(patience, scope, query, "", None, PAGE_LENGTH + 1)
    scanned, (query, found, sample) = SCAN_LENGTH, scan(patience, reader, words, scope, SCAN_LENGTH, PAGE_LENGTH + 1)
    if sample and len(found) <= PAGE_LENGTH < len(found) * SCAN_GROWTH:
        scanned = SCAN_GROWTH * SCAN_LENGTH
        query, found, sample = scan(patience, reader, words, scope, scanned, PAGE_LENGTH + 1)
    if sample:
        found += _look_up_as_far_as_needed(patience, reader, query, scope, sample, scanned, len(found))
    return query, found[: PAGE_LENGTH + 1]


def _look_up_as_far_as_needed(
    patience: Patience, reader: Member, query: Query, scope: Scope, sample: Sample, scanned: int, count: int
) -> list[Cursor]:
    """The newest hits before those walked through, `count` of them: by the index, as few messages as are likely to do.

    Each look-up goes on where the one before it ended.
    """
    by_index = query.rest if sample.has_frequent_beginning and (query.rest or scope.is_narrow) else query.whole
    # As far apart as the older half: a long silence after the others says nothing about those before.
    apart = (sample.middle - sample.last.posted_at) / (scanned / 2)
    length = max(apart * (scanned / max(count, 1)) * PAGE_LENGTH * PAGES_EXPECTED, time_buckets.SHORTEST)
    found, end = list[Cursor](), sample.last
    for number, time_range in enumerate(_time_ranges(reader, sample, length)):
        is_worthwhile = count + len(found) > 0 or number < EMPTY_TIME_RANGES + scope.is_narrow
        if not is_worthwhile or (scope.since and time_range.since <= scope.since):
            break
        within = replace(scope, before=end, since=time_range.since)
        found += look_up(patience, within, query, by_index, time_range.buckets, PAGE_LENGTH + 1)
        if count + len(found) > PAGE_LENGTH:
            return found
        end = Cursor(time_range.since, 0)
    everywhere = None
    if scope.since:
        everywhere = time_buckets.of_time(reader.tenancy_id, scope.since, end.posted_at)
    elif scope.topics is None:
        everywhere = time_buckets.of_tenancy(reader.tenancy_id)
    return found + look_up(patience, replace(scope, before=end), query, by_index, everywhere, PAGE_LENGTH + 1)


class TimeRange(NamedTuple):
    since: datetime
    buckets: list[int]  # that hold all messages from then on that the stretches before it don't


def _time_ranges(reader: Member, sample: Sample, length: timedelta) -> Iterator[TimeRange]:
    """One longer than the other, back from the messages walked through; the first is that long, or a little more."""
    end, near = sample.last.posted_at, list[int]()
    if sample.resumed and end - sample.resumed > 2 * time_buckets.SHORTEST:
        # A silence, and between it and the messages walked through maybe more of the bustle that they are of.
        near, end = time_buckets.of_time(reader.tenancy_id, end - time_buckets.SHORTEST, end), sample.resumed
    start = end
    for _ in range(TIME_RANGES):
        if length >= start - _BEGINNING:
            return
        since = time_buckets.beginning(start - length, end)
        yield TimeRange(since, near + time_buckets.of_time(reader.tenancy_id, since, end))
        near, end, length = [], since, length * GROWTH


def _marked(groups: list[int], query: str, pks: list[int]) -> QuerySet[Message, tuple[Any, ...]]:
    # Character by character as long as the body: so its words stand at the same places.
    apart = Func(F("body"), Value(JOINERS + START + STOP), Value(" " * (len(JOINERS) + 2)), function="translate")
    marked = SearchHeadline(
        apart,
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


def _fetch(patience: Patience, scope: Scope, query: Query, pks: list[int]) -> list[Hit]:
    """The hits to be shown; whether their topics are read is asked once more, for all of them."""
    return [Hit._make(values) for values in patience.ask(MARKED, list(scope.groups), query.whole, pks)]
