"""Which messages a search covers, and how long it may take."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from django.db import OperationalError, connection, transaction
from django.db.models.expressions import RawSQL
from psycopg2 import errorcodes

from common.database.prepared import Statement
from messenger.models import Topic

# A search that takes longer is stopped, to spare the database; the page says so.
TIMEOUT_SECONDS = 2


class SearchTimeoutError(Exception):
    """The search took longer than TIMEOUT_SECONDS."""


class Cursor(NamedTuple):
    """A hit's position in the order of hits."""

    posted_at: datetime
    pk: int


@dataclass(frozen=True)
class Scope:
    """The messages that a search covers."""

    groups: Collection[int]  # ids, only of groups whose topics the reader may read, as found in this request
    topics: Collection[int] | None = None  # ids of active topics of these groups; None: all of them
    length: int | None = None  # how many messages these topics contain at most; None: unknown
    authors: Collection[int] | None = None  # ids of members; None: any author
    since: datetime | None = None
    until: datetime | None = None  # exclusive
    before: Cursor | None = None  # exclusive

    @property
    def is_narrow(self) -> bool:
        return self.topics is not None or self.authors is not None

    @property
    def end(self) -> Cursor | None:
        """Every message of the scope comes before this cursor. Ids begin with 1, so 0 excludes `until` itself."""
        ends = [self.before, self.until and Cursor(self.until, 0)]
        return min((end for end in ends if end), default=None)

    @property
    def period(self) -> tuple[datetime | str, datetime | str, int]:
        """Parameters of the search statements: the first moment, and the cursor before which the scope ends."""
        return self.since or "-infinity", *(self.end or ("infinity", 0))

    @property
    def ids(self) -> tuple[list[int] | None, list[int] | None]:
        """Parameters of the search statements: ids of topics and of authors."""
        topics, authors = self.topics, self.authors
        return None if topics is None else list(topics), None if authors is None else list(authors)


@cache
def topic_in_groups(groups: str) -> str:
    """SQL for a message's topic if it is active and in one of `groups`, else NULL; compiled from `active_in`.

    `groups` is the SQL of an array, for example "$10".
    """
    topic = Topic.objects.active_in([0]).filter(pk=RawSQL("topic_id", ()))
    sql, parameters = topic.values("pk").query.sql_with_params()
    if parameters != ([0],):
        raise ValueError(f"other parameters than the groups: {parameters}")
    return sql % groups


class Deadline:
    """Runs statements, all of them together for no longer than TIMEOUT_SECONDS."""

    def __init__(self) -> None:
        self._end = time.monotonic() + TIMEOUT_SECONDS

    def run(self, statement: Statement, *parameters: Any) -> list[tuple[Any, ...]]:
        """The statement's rows; raises SearchTimeoutError if the time is up before it starts."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise SearchTimeoutError
        return statement.within(int(left * 1000) + 1, *parameters)


@contextmanager
def search_deadline() -> Iterator[Deadline]:
    """A deadline that starts now. Raises SearchTimeoutError if PostgreSQL stops a statement because of it."""
    try:
        if connection.in_atomic_block:
            with transaction.atomic():  # a savepoint, so that the transaction survives a stopped statement
                yield Deadline()
                with connection.cursor() as cursor:  # the timeout is for this search only
                    cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
        else:
            yield Deadline()
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) != errorcodes.QUERY_CANCELED:
            raise
        raise SearchTimeoutError from error
