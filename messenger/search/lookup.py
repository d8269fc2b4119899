"""What the index of words finds: where rare words are found."""

from functools import cache

from common.database.prepared import PreparedSql
from messenger.search import time_buckets
from messenger.search.query import Query
from messenger.search.scope import Cursor, Patience, Scope, topic_of_groups

# Of more authors the index is not asked; hits are sorted out afterwards.
MANY = 200


@cache
def _looked_up(most: int, *asked: bool) -> PreparedSql:
    """All hits, and the newest of them. Not all statements hold all of the conditions; their names tell them apart."""
    by_index = (*(f"{time_buckets.BUCKETS} && {array}" for array in ("$3", "$4", "$5")), "search @@ $2")
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
        SELECT posted_at, id FROM newest WHERE ({topic_of_groups("$10")}) IS NOT NULL
        ORDER BY posted_at DESC, id DESC LIMIT {most}""",  # noqa: S608  (as above)
        *("tsquery", "tsquery", "bigint[]", "bigint[]", "bigint[]", "bigint[]"),
        *("timestamptz", "timestamptz", "bigint", "bigint[]"),
    )


def look_up(
    patience: Patience, scope: Scope, query: Query, by_index: str, everywhere: list[int] | None, most: int
) -> list[Cursor]:
    """What the index finds holds at least `by_index`, and lies in these places."""
    topics, authors = scope.ids
    are_few = authors is not None and len(authors) <= MANY
    asked = (everywhere is not None, topics is not None, are_few, bool(by_index), by_index != query.whole)
    rows = patience.ask(
        _looked_up(most, *asked, authors is not None and not are_few),
        *(
            query.whole,
            by_index,
            everywhere,
            time_buckets.of_topics(topics or ()),
            time_buckets.of_authors(authors or ()),
        ),
        *(authors, *scope.period, list(scope.groups)),
    )
    return [Cursor._make(row) for row in rows]
