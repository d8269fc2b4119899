"""Scans the newest messages one after the other: the fast way to find frequent words."""

from datetime import datetime
from functools import cache
from typing import NamedTuple

from common.database.prepared import PreparedSql
from messenger.search import time_buckets
from messenger.search.query import QUERY_COLUMNS, QUERY_CTE, Query, Words, parse_result
from messenger.search.scope import Cursor, Deadline, Scope, topic_in_groups
from tenancy.models import Member

# A prefix found in at least this percentage of the newest messages is not looked up in the index, which would first
# have to read all of its entries, however old.
FREQUENT_PERCENT = 2
SAMPLE_LENGTH = 200  # how many of the newest messages are checked for the prefix


class Sample(NamedTuple):
    """How the scanned messages are spread over time."""

    middle: datetime  # when the message in the middle of them was posted
    last: Cursor  # the oldest of them
    earlier: datetime | None  # when the newest message was posted that is older than `last` by the shortest bucket
    has_frequent_prefix: bool


class Scan(NamedTuple):
    query: Query
    found: list[Cursor]
    sample: Sample | None  # None: the hits reach the limit, or all messages were scanned


@cache
def _scan_statement(length: int, limit: int) -> PreparedSql:
    """Finds up to `limit` hits among the `length` newest messages of a tenancy, and parses the query on the way.

    If there are fewer hits, the last five columns hold the sample.
    """
    return PreparedSql(
        f"search_walk_{length}_{limit}",
        f"""WITH {QUERY_CTE}, newest AS MATERIALIZED (
            SELECT posted_at, id, topic_id,
                body <> '' AND search @@ (SELECT whole FROM query)
                    AND ($8 IS NULL OR topic_id = ANY($8)) AND ($9 IS NULL OR author_id = ANY($9)) AS is_hit,
                CASE WHEN $8 IS NOT NULL OR $9 IS NOT NULL OR (SELECT rest <> '' FROM query)
                    THEN search @@ (SELECT prefix FROM query) END AS matches_prefix
            FROM messenger_message WHERE tenancy_id = $4 AND posted_at >= $5 AND (posted_at, id) < ($6, $7)
            ORDER BY posted_at DESC, id DESC LIMIT {length}
        ), hit AS MATERIALIZED (
            SELECT posted_at, id FROM newest WHERE is_hit AND ({topic_in_groups("$10")}) IS NOT NULL
            ORDER BY posted_at DESC, id DESC LIMIT {limit}
        )
        SELECT {QUERY_COLUMNS}, hits.*, sample.* FROM query CROSS JOIN (
            SELECT array_agg(posted_at ORDER BY posted_at DESC, id DESC), array_agg(id ORDER BY posted_at DESC, id DESC)
            FROM hit
        ) hits LEFT JOIN LATERAL (
            SELECT middle.posted_at, last.posted_at, last.id, (
                SELECT posted_at FROM messenger_message WHERE tenancy_id = $4 AND posted_at < last.posted_at - $11
                ORDER BY posted_at DESC, id DESC LIMIT 1
            ), (
                SELECT count(*) FROM (
                    SELECT matches_prefix FROM newest ORDER BY posted_at DESC, id DESC LIMIT {SAMPLE_LENGTH}
                ) counted WHERE matches_prefix
            )
            FROM (SELECT posted_at FROM newest ORDER BY posted_at DESC, id DESC OFFSET {length // 2} LIMIT 1) middle,
                (SELECT posted_at, id FROM newest ORDER BY posted_at DESC, id DESC OFFSET {length - 1} LIMIT 1) last
            WHERE (SELECT count(*) FROM hit) < {limit}
        ) sample ON TRUE""",  # noqa: S608  (constants and numbers; everything else is a parameter)
        *("text", "text", "text", "bigint", "timestamptz", "timestamptz", "bigint"),
        *("bigint[]", "bigint[]", "bigint[]", "interval"),
    )


def scan(deadline: Deadline, reader: Member, words: Words, scope: Scope, length: int, limit: int) -> Scan:
    """Up to `limit` hits among the `length` newest messages before the end of `scope`, newest first.

    Raises NothingToFindError and SearchTimeoutError.
    """
    ((*query, hit_times, hit_ids, middle, last_time, last_id, earlier, prefix_count),) = deadline.run(
        _scan_statement(length, limit),
        *words,
        *(reader.tenancy_id, *scope.period, *scope.ids, list(scope.groups), time_buckets.SHORTEST),
    )
    sample = None
    if last_time:
        is_frequent = prefix_count * 100 >= FREQUENT_PERCENT * SAMPLE_LENGTH
        sample = Sample(middle, Cursor(last_time, last_id), earlier, is_frequent)
    return Scan(parse_result(*query), [*map(Cursor, hit_times or (), hit_ids or ())], sample)
