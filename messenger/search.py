"""Search over the messages that one reads: the newest hits first, page by page, without OFFSET and COUNT.

Frequent words are found by walking from the newest message backwards, others by the index, in stretches of time that
grow until a page is full (docs/decisions/0027-search-by-stretches.md, and 0019).
"""

import re
import time
import unicodedata
from collections.abc import Collection, Iterable, Iterator
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

from ippex_messenger.prepared import Prepared
from messenger import places
from messenger.hits import COLUMNS, START, STOP, Hit
from messenger.models import Message, Topic
from tenancy.models import Member

PAGE_LENGTH = 20
# What has not been found by then is not worth holding up the database for; the page says so.
TIMEOUT_SECONDS = 2
# How many of the newest messages are walked through before the index is asked: a millisecond or two.
WALK_LENGTH = 1_000
# As many more, where that is likely to fill the page: no more than the index would cost.
WALK_GROWTH = 5
# The first stretch should hold a page of hits, if the word is as frequent there as among the messages walked through;
# each other is so many times as long, the last one is all there is. Where the first two hold nothing, that comes next
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
# Shorter beginnings of words stand for too many words.
PREFIX_MIN_LENGTH = 3

# Both as the generated column has them (migration 0007).
CONFIGURATION = "messenger_text"
JOINERS = r"-/.@_:\<>&"
_APART = str.maketrans(JOINERS, " " * len(JOINERS))
_PIECE = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class SearchTimeoutError(Exception):
    """It took longer than TIMEOUT_SECONDS."""


class NothingToFindError(Exception):
    """No word that a message could hold, or only such as it may not hold."""


class Cursor(NamedTuple):
    """The place of a hit in the order of hits."""

    posted_at: datetime
    pk: int


class Condition(NamedTuple):
    """Of a row of messages, in SQL, with the values of its parameters."""

    sql: str
    values: list[Any]


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


class Query(NamedTuple):
    """What is looked for, as tsqueries."""

    whole: str
    beginning: str = ""  # the last word, where it may be the beginning of one
    rest: str = ""  # what must be found at least: without that beginning


class Survey(NamedTuple):
    """How the messages walked through lie in time."""

    first: datetime  # of the newest
    middle: datetime  # of the one in their middle
    last: datetime
    has_frequent_beginning: bool  # whether the query's beginning is that of a frequent word


@dataclass(frozen=True)
class Hits:
    hits: list[Hit]
    next: Cursor | None  # where the next page goes on


def find(reader: Member, text: str, scope: Scope) -> Hits:
    """A page of the messages that hold the words, newest first.

    Raises NothingToFindError for a text without a word, SearchTimeoutError where it takes too long.
    """
    with _patience():
        query = _as_query(text)
        found = _newest_hits(reader, query, scope)
        hits = _fetch(scope, query, [cursor.pk for cursor in found[:PAGE_LENGTH]])
    return Hits(hits, found[PAGE_LENGTH - 1] if len(found) > PAGE_LENGTH else None)


@contextmanager
def _patience() -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) != errorcodes.QUERY_CANCELED:
            raise
        raise SearchTimeoutError from error


# -- What is looked for ---------------------------------------------------------------------------------------


def _as_query(text: str) -> Query:
    """The tsqueries; from here on the database is patient for TIMEOUT_SECONDS only, for each statement."""
    whole, rest, beginning = as_websearch(text)
    with connection.cursor() as cursor:
        cursor.execute(
            # To compile a statement takes longer than to run it.
            "SELECT set_config('statement_timeout', %s, true), set_config('jit', 'off', true),"
            # querytree: what of it an index can look for; T: nothing
            " array_agg(query::text ORDER BY place), array_agg(querytree(query) IN ('', 'T') ORDER BY place)"
            " FROM unnest(%s::text[]) WITH ORDINALITY text (words, place), websearch_to_tsquery(%s, words) query",
            [str(TIMEOUT_SECONDS * 1000), [whole, rest, beginning], CONFIGURATION],
        )
        *_, (found, rest_found, beginning_found), (is_nothing, rest_is_nothing, _) = cursor.fetchone()
    if is_nothing:
        raise NothingToFindError
    if not beginning or not found.endswith("'"):
        return Query(found)
    if not beginning_found or rest_found == found:
        return Query(f"{found}:*")
    return Query(f"{found}:*", f"{beginning_found}:*", "" if rest_is_nothing else rest_found)


def as_websearch(text: str) -> tuple[str, str, str]:
    """What was typed, in the language of websearch_to_tsquery; that without the last word, and the last word.

    The last two only where that may be the beginning of a word. Joined words (INV-4711, alice@example.com) are looked
    for one after the other, as if in quotation marks.
    """
    text = unicodedata.normalize("NFC", text).replace("“", '"').replace("”", '"').replace("„", '"')
    pieces, ends_in_prefix = [], False
    for minus, quoted, plain in _PIECE.findall(text):
        words = (quoted or plain).translate(_APART).replace('"', " ").split()
        if not words:
            continue
        is_one_plain_word = bool(plain) and len(words) == 1
        pieces.append(minus + (words[0] if is_one_plain_word else f'"{" ".join(words)}"'))
        ends_in_prefix = bool(plain) and not minus and len(words[-1]) >= PREFIX_MIN_LENGTH and words[-1].lower() != "or"
    if not ends_in_prefix:
        return " ".join(pieces), "", ""
    is_alternative = pieces[-2:-1] and pieces[-2].lower() == "or"
    return " ".join(pieces), "" if is_alternative else " ".join(pieces[:-1]), pieces[-1]


# -- Where it is found ----------------------------------------------------------------------------------------


def _newest_hits(reader: Member, query: Query, scope: Scope) -> list[Cursor]:
    """One more than a page of them, if there are."""
    if scope.length is not None and scope.length <= WALK_LENGTH:
        return _look_up(reader, "", query.whole, scope)
    walked, found = WALK_LENGTH, _walk(reader, query, scope, WALK_LENGTH)
    if len(found) <= PAGE_LENGTH < len(found) * WALK_GROWTH:
        walked, found = WALK_GROWTH * WALK_LENGTH, _walk(reader, query, scope, WALK_GROWTH * WALK_LENGTH)
    if len(found) > PAGE_LENGTH:
        return found
    survey = _survey(reader, query, scope)
    if survey is None:  # that was all
        return found
    return _look_up_as_far_as_needed(reader, query, scope, survey, walked / max(len(found), 1))


def _walk(reader: Member, query: Query, scope: Scope, length: int) -> list[Cursor]:
    """The hits among the newest messages of the tenancy, one after the other."""
    newest, which = _newest(reader, scope), _all(_which(scope))
    return _cursors(
        "SELECT posted_at, id FROM ("  # noqa: S608  (conditions of our own, all values are parameters)
        f" SELECT posted_at, id, topic_id, author_id, body, search {newest.sql} LIMIT {length}"
        f") newest WHERE body <> '' AND search @@ %s::tsquery AND {which.sql}"
        f" ORDER BY posted_at DESC, id DESC LIMIT {PAGE_LENGTH + 1}",
        [*newest.values, query.whole, *which.values],
    )


def _newest(reader: Member, scope: Scope) -> Condition:
    when = _all([Condition("tenancy_id = %s", [reader.tenancy_id]), *_when(scope)])
    return Condition(f"FROM messenger_message WHERE {when.sql} ORDER BY posted_at DESC, id DESC", when.values)


def _look_up_as_far_as_needed(
    reader: Member, query: Query, scope: Scope, survey: Survey, messages_a_hit: float
) -> list[Cursor]:
    """The newest hits, found by the index among as few messages as are likely to hold a page of them."""
    is_narrow = scope.topics is not None or scope.authors is not None
    by_index = query.rest if survey.has_frequent_beginning and (query.rest or is_narrow) else query.whole
    # As far apart as the older half: a long silence after the others says nothing about those before.
    apart = (survey.middle - survey.last) / (WALK_LENGTH / 2)
    length = max(apart * messages_a_hit * PAGE_LENGTH, places.SHORTEST)
    found, deadline = list[Cursor](), time.monotonic() + TIMEOUT_SECONDS
    for number in range(STRETCHES + 1):
        is_worthwhile = number < STRETCHES and (found or number < EMPTY_STRETCHES + is_narrow)
        since = _earlier(survey.last, length * GROWTH**number) if is_worthwhile else None
        # What the index finds is found in full from a little earlier on: those hits are fetched anyway.
        since = since and places.reached(since, survey.first)
        is_all = since is None or (scope.since is not None and since <= scope.since)
        found = _look_up(reader, by_index, query.whole, scope if is_all else replace(scope, since=since), survey.first)
        if is_all or len(found) > PAGE_LENGTH:
            break
        _hasten(deadline)
    return found


def _hasten(deadline: float) -> None:
    """One look-up after the other is to take no longer than one may."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise SearchTimeoutError
    if left < 0.9 * TIMEOUT_SECONDS:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(left * 1000) + 1)])


def _earlier(moment: datetime, length: timedelta) -> datetime | None:
    """None: before all time."""
    return moment - length if length < moment - _BEGINNING else None


def _survey(reader: Member, query: Query, scope: Scope) -> Survey | None:
    """None, if there are no more messages than were walked through."""
    newest = _newest(reader, scope)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(posted_at), min(posted_at) FILTER (WHERE place <= %s), min(posted_at), count(*),"  # noqa: S608
            f" (SELECT count(*) FROM (SELECT search {newest.sql} LIMIT %s) sample WHERE search @@ %s::tsquery) FROM"
            f" (SELECT posted_at, row_number() OVER (ORDER BY posted_at DESC, id DESC) place {newest.sql} LIMIT %s) of",
            [
                *(WALK_LENGTH // 2, *newest.values, SAMPLE_LENGTH if query.beginning else 0, query.beginning),
                *(*newest.values, WALK_LENGTH + 1),
            ],
        )
        first, middle, last, count, beginnings = cursor.fetchone()
    if count <= WALK_LENGTH:
        return None
    return Survey(first, middle, last, beginnings * 100 >= FREQUENT_PERCENT * SAMPLE_LENGTH)


def _look_up(reader: Member, by_index: str, query: str, scope: Scope, until: datetime | None = None) -> list[Cursor]:
    """All hits, and the newest of them; what the index finds holds at least `by_index` and is not after `until`."""
    asked = list[list[int]]()
    if scope.since is not None and until is not None:
        asked.append(places.of_time(reader.tenancy_id, scope.since, until))
    elif scope.topics is None:
        asked.append(places.of_tenancy(reader.tenancy_id))
    if scope.topics is not None:
        asked.append(places.of_topics(scope.topics))
    if scope.authors is not None and len(scope.authors) <= MANY:
        asked.append(places.of_authors(scope.authors))
    conditions = [Condition(f"{places.PLACES} && %s::bigint[]", [each]) for each in asked]
    if by_index:
        conditions.append(Condition("search @@ %s::tsquery", [by_index]))
    if by_index != query:
        conditions.append(Condition("search || '' @@ %s::tsquery", [query]))  # "|| ''": not by the index
    which, when = _all([*conditions, *_which(scope, by_other_indexes=False)]), _all(_when(scope))
    return _cursors(
        # Materialized: for the sake of order and time the planner would read other indexes, of millions of messages.
        "WITH hit AS MATERIALIZED ("  # noqa: S608  (as above)
        f"  SELECT posted_at, id FROM messenger_message WHERE body <> '' AND {which.sql}"
        f") SELECT posted_at, id FROM hit WHERE {when.sql} ORDER BY posted_at DESC, id DESC LIMIT {PAGE_LENGTH + 1}",
        [*which.values, *when.values],
    )


def _when(scope: Scope) -> Iterator[Condition]:
    if scope.since:
        yield Condition("posted_at >= %s", [scope.since])
    if scope.until:
        yield Condition("posted_at < %s", [scope.until])
    if scope.before:
        yield Condition("(posted_at, id) < (%s, %s)", [*scope.before])


def _which(scope: Scope, *, by_other_indexes: bool = True) -> Iterator[Condition]:
    """Of whose topics and authors, asked of each message that holds the words."""
    plus = "" if by_other_indexes else " + 0"
    if scope.topics is None:
        yield Condition(f"({_topic_of_groups()}) IS NOT NULL", [list(scope.groups)])
    else:
        yield Condition(f"topic_id{plus} = ANY(%s::bigint[])", [list(scope.topics)])
    if scope.authors is not None:
        yield Condition(f"author_id{plus} = ANY(%s::bigint[])", [list(scope.authors)])


def _all(conditions: Iterable[Condition]) -> Condition:
    found = [Condition("TRUE", []), *conditions]
    return Condition(" AND ".join(one.sql for one in found), [value for one in found for value in one.values])


@cache
def _topic_of_groups() -> str:
    """The topic of a message if it is one of these groups, a parameter: in SQL, compiled once."""
    topic = Topic.objects.active_in([0]).filter(pk=RawSQL("topic_id", ()))
    sql, parameters = topic.values("pk").query.sql_with_params()
    if parameters != ([0],):
        raise ValueError(f"other parameters than the groups: {parameters}")
    return sql


def _cursors(statement: str, values: list[Any]) -> list[Cursor]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [Cursor._make(row) for row in cursor.fetchall()]


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


def _fetch(scope: Scope, query: Query, pks: list[int]) -> list[Hit]:
    """The hits to be shown; whether their topics are read is asked once more, for all of them."""
    return [Hit._make(values) for values in MARKED(list(scope.groups), query.whole, pks)]
