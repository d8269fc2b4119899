"""Among which messages is searched, and for how long."""

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

# What has not been found by then is not worth holding up the database for; the page says so.
TIMEOUT_SECONDS = 2


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

    @property
    def period(self) -> tuple[datetime | str, datetime | str, int]:
        """From when on, and before which cursor, as the statements of search take them."""
        return self.since or "-infinity", *(self.end or ("infinity", 0))

    @property
    def ids(self) -> tuple[list[int] | None, list[int] | None]:
        """Of topics and of authors, as the statements of search take them."""
        topics, authors = self.topics, self.authors
        return None if topics is None else list(topics), None if authors is None else list(authors)


@cache
def topic_of_groups(groups: str) -> str:
    """The topic of a message if it is one of these groups, a parameter: in SQL, compiled once."""
    topic = Topic.objects.active_in([0]).filter(pk=RawSQL("topic_id", ()))
    sql, parameters = topic.values("pk").query.sql_with_params()
    if parameters != ([0],):
        raise ValueError(f"other parameters than the groups: {parameters}")
    return sql % groups


class Patience:
    """How long the database may still take."""

    def __init__(self) -> None:
        self._end = time.monotonic() + TIMEOUT_SECONDS

    def ask(self, statement: Statement, *parameters: Any) -> list[tuple[Any, ...]]:
        left = self._end - time.monotonic()
        if left <= 0:
            raise SearchTimeoutError
        return statement.within(int(left * 1000) + 1, *parameters)


@contextmanager
def patient() -> Iterator[Patience]:
    try:
        if connection.in_atomic_block:  # which is to outlive a statement that is stopped
            with transaction.atomic():
                yield Patience()
                with connection.cursor() as cursor:  # the limit is this search's alone
                    cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
        else:
            yield Patience()
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) != errorcodes.QUERY_CANCELED:
            raise
        raise SearchTimeoutError from error
