"""Search over the messages that one reads: the newest hits first, page by page, without OFFSET and COUNT.

Frequent words are found by walking from the newest message backwards, rare ones by the index; either way alone would
take seconds for the other's words (docs/decisions/0019-search.md).
"""

import re
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.postgres.search import SearchHeadline
from django.db import OperationalError, connection, transaction
from django.db.models import F, Func, QuerySet, Value
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from psycopg2 import errorcodes

from ippex_messenger.prepared import Prepared
from messenger.models import Message
from messenger.querysets import TopicQuerySet
from tenancy.models import Member

PAGE_LENGTH = 20
# What has not been found by then is not worth holding up the database for; the page says so.
TIMEOUT_SECONDS = 2
# How many of the tenancy's messages are walked through before the index is asked: some milliseconds. A word that
# does not fill a page from these is rare enough for the index, unless it was frequent in other times only.
WALK_LENGTH = 5_000
# What so many hold tells whether the whole walk is worth it: for most of what people look for it is not.
FIRST_WALK_LENGTH = 1_000
# The index looks for the words once for each of so many topics or authors; among more, hits are sorted out afterwards.
MANY = 200
# Shorter beginnings of words stand for too many words.
PREFIX_MIN_LENGTH = 3
EXCERPT_LENGTH, EXCERPT_LEAD = 260, 60  # characters of it, and of them before the first word found

# Both as the generated column has them (migration 0007).
CONFIGURATION = "messenger_text"
JOINERS = r"-/.@_:\<>&"
_APART = str.maketrans(JOINERS, " " * len(JOINERS))
# Around the words found; taken out of texts beforehand, so that nobody writes them.
_START, _STOP = "\ue000", "\ue001"
_PIECE = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')


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

    topics: TopicQuerySet  # of those that the reader reads
    authors: Collection[int] | None = None  # members' ids; None: whoever wrote it
    since: datetime | None = None
    until: datetime | None = None  # not included
    before: Cursor | None = None


@dataclass(frozen=True)
class Hit:
    pk: int
    sequence: int
    topic_id: int
    topic: str
    group: str
    author: str
    posted_at: datetime
    excerpt: SafeString


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
        which = _which(reader, scope)
        found = _walk(reader, query, scope, which, FIRST_WALK_LENGTH)
        as_many_further_on = len(found) * WALK_LENGTH // FIRST_WALK_LENGTH
        if len(found) <= PAGE_LENGTH < as_many_further_on:  # the page is likely to be filled on the way
            found = _walk(reader, query, scope, which, WALK_LENGTH)
        if len(found) <= PAGE_LENGTH:
            found = _look_up(query, scope, which)
        hits = _fetch(reader, query, [cursor.pk for cursor in found[:PAGE_LENGTH]])
    return Hits(hits, found[PAGE_LENGTH - 1] if len(found) > PAGE_LENGTH else None)


@contextmanager
def _patience() -> Iterator[None]:
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                # To compile a statement takes longer than to run it.
                cursor.execute("SELECT set_config('statement_timeout', %s, true), set_config('jit', 'off', true)",
                               [str(TIMEOUT_SECONDS * 1000)])  # fmt: skip
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) != errorcodes.QUERY_CANCELED:
            raise
        raise SearchTimeoutError from error


# -- What is looked for ---------------------------------------------------------------------------------------


def _as_query(text: str) -> str:
    """The tsquery, as text."""
    websearch, ends_in_prefix = as_websearch(text)
    with connection.cursor() as cursor:
        cursor.execute("SELECT websearch_to_tsquery(%s, %s)::text", [CONFIGURATION, websearch])
        query = str(cursor.fetchone()[0])
        if ends_in_prefix and query.endswith("'"):
            query += ":*"
        cursor.execute("SELECT querytree(%s::tsquery)", [query])  # what of it an index can look for; T: nothing
        if cursor.fetchone()[0] in ("", "T"):
            raise NothingToFindError
    return query


def as_websearch(text: str) -> tuple[str, bool]:
    """What was typed, in the language of websearch_to_tsquery, and whether it ends in what may begin a word.

    Joined words (INV-4711, alice@example.com) are looked for one after the other, as if in quotation marks.
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
    return " ".join(pieces), ends_in_prefix


# -- Where it is found ----------------------------------------------------------------------------------------


def _walk(reader: Member, query: str, scope: Scope, which: Condition, length: int) -> list[Cursor]:
    """The hits among the newest messages of the tenancy, one after the other."""
    when = _when(scope)
    return _cursors(
        "SELECT posted_at, id FROM ("  # noqa: S608  (conditions of our own, all values are parameters)
        "  SELECT posted_at, id, tenancy_id, topic_id, author_id, body, search FROM messenger_message"
        f" WHERE tenancy_id = %s AND {when.sql} ORDER BY posted_at DESC, id DESC LIMIT {length}"
        f") newest WHERE {which.sql} AND body <> '' AND search @@ %s::tsquery"
        f" ORDER BY posted_at DESC, id DESC LIMIT {PAGE_LENGTH + 1}",
        [reader.tenancy_id, *when.values, *which.values, query],
    )


def _look_up(query: str, scope: Scope, which: Condition) -> list[Cursor]:
    """All hits, by the index, and the newest of them."""
    when = _when(scope)
    return _cursors(
        # Materialized: for the sake of the order alone the planner would walk through millions of messages.
        "WITH hit AS MATERIALIZED ("  # noqa: S608  (as above)
        "  SELECT posted_at, id FROM messenger_message"
        f" WHERE {which.sql} AND {when.sql} AND body <> '' AND search @@ %s::tsquery"
        f") SELECT posted_at, id FROM hit ORDER BY posted_at DESC, id DESC LIMIT {PAGE_LENGTH + 1}",
        [*which.values, *when.values, query],
    )


def _when(scope: Scope) -> Condition:
    conditions, values = ["TRUE"], list[Any]()
    for condition, value in (("posted_at >= %s", scope.since), ("posted_at < %s", scope.until)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if scope.before:
        conditions.append("(posted_at, id) < (%s, %s)")
        values += scope.before
    return Condition(" AND ".join(conditions), values)


def _which(reader: Member, scope: Scope) -> Condition:
    topics = list(scope.topics.values_list("pk", flat=True)[: MANY + 1])
    if len(topics) <= MANY:
        conditions, values = ["topic_id = ANY(%s::bigint[])"], list[Any]([topics])
    else:
        # IS TRUE: asked of each hit, not joined. As a list of ids, thousands of them would take long to plan with.
        sql, parameters = scope.topics.values("pk").query.sql_with_params()
        conditions = ["tenancy_id = %s::bigint", f"(topic_id IN ({sql})) IS TRUE"]
        values = [reader.tenancy_id, *parameters]
    if scope.authors is not None:
        author = "author_id" if len(scope.authors) <= MANY else "author_id + 0"  # "+ 0": not by the index
        conditions.append(f"{author} = ANY(%s::bigint[])")
        values.append(list(scope.authors))
    return Condition(" AND ".join(conditions), values)


def _cursors(statement: str, values: list[Any]) -> list[Cursor]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [Cursor._make(row) for row in cursor.fetchall()]


# -- What is shown of it --------------------------------------------------------------------------------------


def _marked(reader: int, query: str, pks: list[int]) -> QuerySet[Message, tuple[Any, ...]]:
    # Character by character as long as the body: so its words stand at the same places.
    apart = Func(F("body"), Value(JOINERS + _START + _STOP), Value(" " * (len(JOINERS) + 2)), function="translate")
    marked = SearchHeadline(
        apart,
        Func(Value(query), template="%(expressions)s::tsquery"),  # type: ignore[arg-type]
        config=CONFIGURATION,
        start_sel=_START,
        stop_sel=_STOP,
        highlight_all=True,
    )
    columns = ("pk", "sequence", "topic", "topic__name", "topic__group__name", "author__name", "posted_at", "body")
    return (
        Message.objects.visible_to(Member(pk=reader))
        .filter(pk__one_of=pks)
        .annotate(marked=marked)
        .order_by("-posted_at", "-pk")
        .values_list(*columns, "marked")
    )


MARKED = Prepared("marked_messages", _marked, "bigint", "text", "bigint[]")


def _fetch(reader: Member, query: str, pks: list[int]) -> list[Hit]:
    """The hits to be shown; the access rule is asked once more, for all of them."""
    return [
        Hit(pk, sequence, topic_id, topic, group, author, posted_at, excerpt(body, marked))
        for pk, sequence, topic_id, topic, group, author, posted_at, body, marked in MARKED(reader.pk, query, pks)
    ]


def excerpt(body: str, marked: str) -> SafeString:
    """The part of a text around the first word found, escaped, each word found in <mark>.

    `marked` is the text with marks put in, and else as long as it.
    """
    spans = list(_spans(marked)) if len(marked.replace(_START, "").replace(_STOP, "")) == len(body) else []
    start = max(0, spans[0][0] - EXCERPT_LEAD) if spans else 0
    if start:  # at the beginning of a word
        start = max(body.rfind(" ", 0, start + 1), body.rfind("\n", 0, start + 1), start - 40) + 1
    end = start + EXCERPT_LENGTH
    parts, position = ["… " if start else ""], start
    for first, last in spans:
        if first >= end:
            break
        parts += [escape(body[position:first]), "<mark>", escape(body[first:last]), "</mark>"]
        position = last
    parts += [escape(body[position : max(end, position)]), " …" if end < len(body) else ""]
    return mark_safe("".join(parts))  # noqa: S308  (escaped piece by piece)


def _spans(marked: str) -> Iterator[tuple[int, int]]:
    """From where to where each word found stands in the text without the marks."""
    position = start = 0
    for piece in re.split(f"({_START}|{_STOP})", marked):
        if piece == _START:
            start = position
        elif piece == _STOP:
            yield start, position
        else:
            position += len(piece)
