"""Looks words up in the index: the fast way to find rare words."""

from functools import cache

from common.database.prepared import PreparedSql
from messenger.search import time_buckets
from messenger.search.query import Query
from messenger.search.scope import Cursor, Deadline, Scope, topic_in_groups

# With more authors than this, the index is not used for them; hits are filtered by author afterwards.
MAX_INDEXED_AUTHORS = 200


@cache
def _lookup_statement(limit: int, *is_used: bool) -> PreparedSql:
    """The newest hits, up to `limit`, under those of the six conditions that are used.

    The statement's name contains which conditions these are.
    """
    by_index = (*(f"{time_buckets.BUCKETS} && {array}" for array in ("$3", "$4", "$5")), "search @@ $2")
    # `|| ''` and `+ 0` prevent the use of an index for these two.
    conditions = (*by_index, "search || '' @@ $1", "author_id + 0 = ANY($6)")
    where = " AND ".join(condition for condition, used in zip(conditions, is_used, strict=True) if used)
    return PreparedSql(
        f"search_looked_up_{limit}_{''.join(str(int(used)) for used in is_used)}",
        # MATERIALIZED: for the order and the time range the planner would read other indexes, through millions of
        # messages. Topics are checked for the newest hits only, until there are enough.
        f"""WITH hit AS MATERIALIZED (
            SELECT posted_at, id, topic_id FROM messenger_message WHERE body <> '' AND {where}
        ), newest AS (
            SELECT posted_at, id, topic_id FROM hit WHERE posted_at >= $7 AND (posted_at, id) < ($8, $9)
            ORDER BY posted_at DESC, id DESC OFFSET 0
        )
        SELECT posted_at, id FROM newest WHERE ({topic_in_groups("$10")}) IS NOT NULL
        ORDER BY posted_at DESC, id DESC LIMIT {limit}""",  # noqa: S608  (constants and numbers; else parameters)
        *("tsquery", "tsquery", "bigint[]", "bigint[]", "bigint[]", "bigint[]"),
        *("timestamptz", "timestamptz", "bigint", "bigint[]"),
    )


def look_up(
    deadline: Deadline, scope: Scope, query: Query, indexed_query: str, buckets: list[int] | None, limit: int
) -> list[Cursor]:
    """The newest hits in `scope`, up to `limit`, newest first. Raises SearchTimeoutError.

    The index is searched for `indexed_query` (the whole query, or its `rest`, which may be empty) among the topics and
    authors of the scope and in these time buckets (None: at any time). What it finds is then checked against the whole
    query and the rest of the scope.
    """
    topics, authors = scope.ids
    are_authors_indexed = authors is not None and len(authors) <= MAX_INDEXED_AUTHORS
    rows = deadline.run(
        _lookup_statement(
            limit,
            buckets is not None,
            topics is not None,
            are_authors_indexed,
            bool(indexed_query),
            indexed_query != query.whole,
            authors is not None and not are_authors_indexed,
        ),
        *(query.whole, indexed_query),
        *(buckets, time_buckets.of_topics(topics or ()), time_buckets.of_authors(authors or ())),
        *(authors, *scope.period, list(scope.groups)),
    )
    return [Cursor._make(row) for row in rows]
