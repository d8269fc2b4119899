"""The newest messages, walked through one after the other: where frequent words are found."""

from datetime import datetime
from functools import cache
from typing import NamedTuple

from common.database.prepared import PreparedSql
from messenger.search import time_buckets
from messenger.search.query import ASKED, QUERY, Query, Words, parse_result
from messenger.search.scope import Cursor, Patience, Scope, topic_of_groups
from tenancy.models import Member

# A beginning of a word that so many of the newest messages hold, in a hundred, is not asked of the index, which would
# read all of its places first, wherever they are.
FREQUENT_PERCENT = 2
SAMPLE_LENGTH = 200


class Sample(NamedTuple):
    """How the messages walked through lie in time."""

    middle: datetime  # of the one in their middle
    last: Cursor
    resumed: datetime | None  # of the newest that is older than the last one by the shortest stretch
    has_frequent_beginning: bool  # whether the query's beginning is that of a frequent word


class Scan(NamedTuple):
    query: Query
    found: list[Cursor]
    sample: Sample | None  # None: they fill a page, or there are no more messages


@cache
def _scan_of(length: int, most: int) -> PreparedSql:
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
            SELECT posted_at, id FROM newest WHERE is_hit AND ({topic_of_groups("$10")}) IS NOT NULL
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


def scan(patience: Patience, reader: Member, words: Words, scope: Scope, length: int, most: int) -> Scan:
    ((*query, moments, ids, middle, moment, pk, resumed, beginnings),) = patience.ask(
        _scan_of(length, most),
        *words,
        *(reader.tenancy_id, *scope.period, *scope.ids, list(scope.groups), time_buckets.SHORTEST),
    )
    sample = None
    if moment:
        sample = Sample(middle, Cursor(moment, pk), resumed, beginnings * 100 >= FREQUENT_PERCENT * SAMPLE_LENGTH)
    return Scan(parse_result(*query), [*map(Cursor, moments or (), ids or ())], sample)
