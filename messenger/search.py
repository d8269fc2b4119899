"""Search over the messages that one reads: the newest hits first, page by page, without OFFSET and COUNT.

Frequent words are found by walking from the newest message backwards, others by the index, in stretches of time that
grow until a page is full (docs/decisions/0027-search-by-stretches.md, and 0019).
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from django.contrib.postgres.search import SearchHeadline
from django.db import OperationalError, connection, transaction
from django.db.models import F, Func, QuerySet, Value
from django.db.models.expressions import RawSQL
from psycopg2 import errorcodes

from ippex_messenger.prepared import Prepared, PreparedSql, Statement
from messenger import places
from messenger.hits import COLUMNS, START, STOP, Hit
from messenger.models import Message, Topic
from messenger.search_words import (
    ASKED,
    CONFIGURATION,
    JOINERS,
    QUERY,
    UNDERSTOOD,
    Query,
    Words,
    as_websearch,
    understood,
)
from tenancy.models import Member

PAGE_LENGTH = 20
# What has not been found by then is not worth holding up the database for; the page says so.
TIMEOUT_SECONDS = 2
# How many of the newest messages are walked through before the index is asked: a millisecond or two.
WALK_LENGTH = 1_000
# As many more, where that is likely to fill the page: no more than the index would cost.
WALK_GROWTH = 5
# The first stretch should hold this many pages of hits, if the word is as frequent there as among the messages walked
# through: to look once more costs more than to fetch a few hits in vain.
PAGES_EXPECTED = 1.5
# Each other is so many times as long, the last one is all there is. Where the first two hold nothing, that comes next
# (one would be too few: of a sudden bustle the newest messages lie close together); among certain topics or authors,
# who may have been silent lately, after one more.
GROWTH = 16
STRETCHES = 4
EMPTY_STRETCHES = 2
# Of more authors the index is not asked; hits are sorted out afterwards.
MANY = 200
# A beginning of a word that so many of the newest messages hold, in a hundred, is not asked of the index, which would
# read all of its places first, wherever they are.
FREQUENT_PERCENT = 2
SAMPLE_LENGTH = 200
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class SearchTimeoutError(Exception):
    """It took longer than TIMEOUT_SECONDS."""


class Cursor(NamedTuple):
    """The place of a hit in the order of hits."""

    posted_at: datetime
    pk: int


@dataclass(frozen=True)
class Scope:
    """Among which messages."""

    groups: Collection[int]  # of those that the reader reads, as found just now
    topics: Collection[int] | None = None  # active ones of these groups; None: all of them
    length: int | None = None  # how many messages these topics hold at most; None: not known
    authors: Collection[int] | None = None  # members' ids; None: whoever wrote it
    since: datetime | None = None
    until: datetime | None = None  # not included
    before: Cursor | None = None

    @property
    def is_narrow(self) -> bool:
        return self.topics is not None or self.authors is not None

    @property
    def end(self) -> Cursor | None:
        """Before which all of it lies; ids begin with 1."""
        ends = [self.before, self.until and Cursor(self.until, 0)]
        return min((end for end in ends if end), default=None)


class Survey(NamedTuple):
    """How the messages walked through lie in time."""

    middle: datetime  # of the one in their middle
    last: Cursor
    resumed: datetime | None  # of the newest that is older than the last one by the shortest stretch
    has_frequent_beginning: bool  # whether the query's beginning is that of a frequent word


class Walk(NamedTuple):
    query: Query
    found: list[Cursor]
    survey: Survey | None  # None: they fill a page, or there are no more messages


@dataclass(frozen=True)
class Hits:
    hits: list[Hit]
    next: Cursor | None  # where the next page goes on


def find(reader: Member, text: str, scope: Scope) -> Hits:
    """A page of the messages that hold the words, newest first.

    Raises NothingToFindError for a text without a word, SearchTimeoutError where it takes too long.
    """
    with _patience() as patience:
        query, found = _newest_hits(patience, reader, as_websearch(text), scope)
        hits = _fetch(patience, scope, query, [cursor.pk for cursor in found[:PAGE_LENGTH]]) if found else []
    return Hits(hits, found[PAGE_LENGTH - 1] if len(found) > PAGE_LENGTH else None)


class _Patience:
    """How long the database may still take."""

    def __init__(self) -> None:
        self._end = time.monotonic() + TIMEOUT_SECONDS

    def ask(self, statement: Statement, *parameters: Any) -> list[tuple[Any, ...]]:
        left = self._end - time.monotonic()
        if left <= 0:
            raise SearchTimeoutError
        return statement.within(int(left * 1000) + 1, *parameters)


@contextmanager
def _patience() -> Iterator[_Patience]:
    try:
        if connection.in_atomic_block:  # which is to outlive a statement that is stopped
            with transaction.atomic():
                yield _Patience()
        else:
            yield _Patience()
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) != errorcodes.QUERY_CANCELED:
            raise
        raise SearchTimeoutError from error


# -- Where it is found ----------------------------------------------------------------------------------------


def _newest_hits(patience: _Patience, reader: Member, words: Words, scope: Scope) -> tuple[Query, list[Cursor]]:
    """One more than a page of them, if there are."""
    if scope.length is not None and scope.length <= WALK_LENGTH:
        query = understood(*patience.ask(UNDERSTOOD, *words)[0])
        return query, _look_up(patience, scope, query, "", None)
    walked, (query, found, survey) = WALK_LENGTH, _walk(patience, reader, words, scope, WALK_LENGTH)
    if survey and len(found) <= PAGE_LENGTH < len(found) * WALK_GROWTH:
        walked = WALK_GROWTH * WALK_LENGTH
        query, found, survey = _walk(patience, reader, words, scope, walked)
    if survey:
        found += _look_up_as_far_as_needed(patience, reader, query, scope, survey, walked, len(found))
    return query, found[: PAGE_LENGTH + 1]


@cache
def _walk_of(length: int, most: int) -> PreparedSql:
    """The hits among the newest messages of a tenancy, one after the other, until there are more than fill a page.

    Where they don't, it goes on to say how the messages lie in time.
    """
    return PreparedSql(
        f"search_walk_{length}_{most}",
        f"""WITH {ASKED}, newest AS MATERIALIZED (
            SELECT posted_at, id, topic_id,
                body <> '' AND search @@ (SELECT whole FROM asked)
                    AND ($8 IS NULL OR topic_id = ANY($8)) AND ($9 IS NULL OR author_id = ANY($9)) AS is_hit,
                CASE WHEN $8 IS NOT NULL OR $9 IS NOT NULL OR (SELECT rest <> '' FROM asked)
                    THEN search @@ (SELECT beginning FROM asked) END AS holds_beginning
            FROM messenger_message WHERE tenancy_id = $4 AND posted_at >= $5 AND (posted_at, id) < ($6, $7)
            ORDER BY posted_at DESC, id DESC LIMIT {length}
        ), hit AS MATERIALIZED (
            SELECT posted_at, id FROM newest WHERE is_hit AND ({_topic_of_groups("$10")}) IS NOT NULL
            ORDER BY posted_at DESC, id DESC LIMIT {most}
        )
        SELECT {QUERY}, hits.*, survey.* FROM asked CROSS JOIN (
            SELECT array_agg(posted_at ORDER BY posted_at DESC, id DESC), array_agg(id ORDER BY posted_at DESC, id DESC)
            FROM hit
        ) hits LEFT JOIN LATERAL (
            SELECT middle.posted_at, last.posted_at, last.id, (
                SELECT posted_at FROM messenger_message WHERE tenancy_id = $4 AND posted_at < last.posted_at - $11
                ORDER BY posted_at DESC, id DESC LIMIT 1
            ), (
                SELECT count(*) FROM (
                    SELECT holds_beginning FROM newest ORDER BY posted_at DESC, id DESC LIMIT {SAMPLE_LENGTH}
                ) sample WHERE holds_beginning
            )
            FROM (SELECT posted_at FROM newest ORDER BY posted_at DESC, id DESC OFFSET {length // 2} LIMIT 1) middle,
                (SELECT posted_at, id FROM newest ORDER BY posted_at DESC, id DESC OFFSET {length - 1} LIMIT 1) last
            WHERE (SELECT count(*) FROM hit) < {most}
        ) survey ON TRUE""",  # noqa: S608  (names and numbers of ours, all else are parameters)
        *("text", "text", "text", "bigint", "timestamptz", "timestamptz", "bigint"),
        *("bigint[]", "bigint[]", "bigint[]", "interval"),
    )


def _walk(patience: _Patience, reader: Member, words: Words, scope: Scope, length: int) -> Walk:
    ((*query, moments, ids, middle, moment, pk, resumed, beginnings),) = patience.ask(
        _walk_of(length, PAGE_LENGTH + 1),
        *words,
        *(reader.tenancy_id, *_when(scope), *_which(scope), list(scope.groups), places.SHORTEST),
    )
    survey = None
    if moment:
        survey = Survey(middle, Cursor(moment, pk), resumed, beginnings * 100 >= FREQUENT_PERCENT * SAMPLE_LENGTH)
    return Walk(understood(*query), [*map(Cursor, moments or (), ids or ())], survey)


def _when(scope: Scope) -> tuple[datetime | str, datetime | str, int]:
    return scope.since or "-infinity", *(scope.end or ("infinity", 0))


def _which(scope: Scope) -> tuple[list[int] | None, list[int] | None]:
    topics, authors = scope.topics, scope.authors
    return None if topics is None else list(topics), None if authors is None else list(authors)


def _look_up_as_far_as_needed(
    patience: _Patience, reader: Member, query: Query, scope: Scope, survey: Survey, walked: int, count: int
) -> list[Cursor]:
    """The newest hits before those walked through, `count` of them: by the index, as few messages as are likely to do.

    Each look-up goes on where the one before it ended.
    """
    by_index = query.rest if survey.has_frequent_beginning and (query.rest or scope.is_narrow) else query.whole
    # As far apart as the older half: a long silence after the others says nothing about those before.
    apart = (survey.middle - survey.last.posted_at) / (walked / 2)
    length = max(apart * (walked / max(count, 1)) * PAGE_LENGTH * PAGES_EXPECTED, places.SHORTEST)
    found, end = list[Cursor](), survey.last
    for number, stretch in enumerate(_stretches(reader, survey, length)):
        is_worthwhile = count + len(found) > 0 or number < EMPTY_STRETCHES + scope.is_narrow
        if not is_worthwhile or (scope.since and stretch.since <= scope.since):
            break
        within = replace(scope, before=end, since=stretch.since)
        found += _look_up(patience, within, query, by_index, stretch.places)
        if count + len(found) > PAGE_LENGTH:
            return found
        end = Cursor(stretch.since, 0)
    everywhere = None
    if scope.since:
        everywhere = places.of_time(reader.tenancy_id, scope.since, end.posted_at)
    elif scope.topics is None:
        everywhere = places.of_tenancy(reader.tenancy_id)
    return found + _look_up(patience, replace(scope, before=end), query, by_index, everywhere)


class Stretch(NamedTuple):
    since: datetime
    places: list[int]  # that hold all messages from then on that the stretches before it don't


def _stretches(reader: Member, survey: Survey, length: timedelta) -> Iterator[Stretch]:
    """One longer than the other, back from the messages walked through; the first is that long, or a little more."""
    end, near = survey.last.posted_at, list[int]()
    if survey.resumed and end - survey.resumed > 2 * places.SHORTEST:
        # A silence, and between it and the messages walked through maybe more of the bustle that they are of.
        near, end = places.of_time(reader.tenancy_id, end - places.SHORTEST, end), survey.resumed
    start = end
    for _ in range(STRETCHES):
        if length >= start - _BEGINNING:
            return
        since = places.beginning(start - length, end)
        yield Stretch(since, near + places.of_time(reader.tenancy_id, since, end))
        near, end, length = [], since, length * GROWTH


@cache
def _looked_up(most: int, *asked: bool) -> PreparedSql:
    """All hits, and the newest of them. Not all statements hold all of the conditions; their names tell them apart."""
    by_index = (*(f"{places.PLACES} && {array}" for array in ("$3", "$4", "$5")), "search @@ $2")
    conditions = (*by_index, "search || '' @@ $1", "author_id + 0 = ANY($6)")  # the others change what they ask about
    which = " AND ".join(condition for condition, is_asked in zip(conditions, asked, strict=True) if is_asked)
    return PreparedSql(
        f"search_looked_up_{most}_{''.join(str(int(one)) for one in asked)}",
        # Materialized: for the sake of order and time the planner would read other indexes, of millions of messages.
        # The topics of the newest only are looked at, until there are enough.
        f"""WITH hit AS MATERIALIZED (
            SELECT posted_at, id, topic_id FROM messenger_message WHERE body <> '' AND {which}
        ), newest AS (
            SELECT posted_at, id, topic_id FROM hit WHERE posted_at >= $7 AND (posted_at, id) < ($8, $9)
            ORDER BY posted_at DESC, id DESC OFFSET 0
        )
        SELECT posted_at, id FROM newest WHERE ({_topic_of_groups("$10")}) IS NOT NULL
        ORDER BY posted_at DESC, id DESC LIMIT {most}""",  # noqa: S608  (as above)
        *("tsquery", "tsquery", "bigint[]", "bigint[]", "bigint[]", "bigint[]"),
        *("timestamptz", "timestamptz", "bigint", "bigint[]"),
    )


def _look_up(
    patience: _Patience, scope: Scope, query: Query, by_index: str, everywhere: list[int] | None
) -> list[Cursor]:
    """What the index finds holds at least `by_index`, and lies in these places."""
    topics, authors = _which(scope)
    are_few = authors is not None and len(authors) <= MANY
    asked = (everywhere is not None, topics is not None, are_few, bool(by_index), by_index != query.whole)
    rows = patience.ask(
        _looked_up(PAGE_LENGTH + 1, *asked, authors is not None and not are_few),
        *(query.whole, by_index, everywhere, places.of_topics(topics or ()), places.of_authors(authors or ())),
        *(authors, *_when(scope), list(scope.groups)),
    )
    return [Cursor._make(row) for row in rows]


@cache
def _topic_of_groups(groups: str) -> str:
    """The topic of a message if it is one of these groups, a parameter: in SQL, compiled once."""
    topic = Topic.objects.active_in([0]).filter(pk=RawSQL("topic_id", ()))
    sql, parameters = topic.values("pk").query.sql_with_params()
    if parameters != ([0],):
        raise ValueError(f"other parameters than the groups: {parameters}")
    return sql % groups


# -- What is shown of it --------------------------------------------------------------------------------------


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


def _fetch(patience: _Patience, scope: Scope, query: Query, pks: list[int]) -> list[Hit]:
    """The hits to be shown; whether their topics are read is asked once more, for all of them."""
    return [Hit._make(values) for values in patience.ask(MARKED, list(scope.groups), query.whole, pks)]
