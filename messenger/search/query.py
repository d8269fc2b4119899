"""What the user typed, split into words and turned into tsqueries (docs/decisions/0019-search.md)."""

import re
import unicodedata
from typing import NamedTuple

from common.database.prepared import PreparedSql

# Shorter prefixes match too many words.
PREFIX_MIN_LENGTH = 3

# Both must match the generated column `search` (migration 0007).
CONFIGURATION = "messenger_text"
JOINERS = r"-/.@_:\<>&"
_SEPARATE = str.maketrans(JOINERS, " " * len(JOINERS))
_PIECE = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')


class NothingToFindError(Exception):
    """The text holds no word to look for: none at all, or only words to leave out."""


class Query(NamedTuple):
    """The query as tsqueries."""

    whole: str
    prefix: str  # the last word if it may be the beginning of a longer one, else empty
    rest: str  # what a hit must match without that prefix; empty if there is nothing that an index could look for


class Words(NamedTuple):
    """What was typed, in the syntax of websearch_to_tsquery."""

    whole: str
    rest: str = ""  # without the last word
    last: str = ""  # the last word; like `rest`, empty unless it may be the beginning of a longer word


def to_websearch(text: str) -> Words:
    """Joined words (INV-4711, alice@example.com) must stand side by side, as if in quotation marks."""
    text = unicodedata.normalize("NFC", text).replace("“", '"').replace("”", '"').replace("„", '"')
    pieces, ends_in_prefix = [], False
    for minus, quoted, plain in _PIECE.findall(text):
        words = (quoted or plain).translate(_SEPARATE).replace('"', " ").split()
        if not words:
            continue
        is_one_plain_word = bool(plain) and len(words) == 1
        pieces.append(minus + (words[0] if is_one_plain_word else f'"{" ".join(words)}"'))
        ends_in_prefix = bool(plain) and not minus and len(words[-1]) >= PREFIX_MIN_LENGTH and words[-1].lower() != "or"
    if not ends_in_prefix:
        return Words(" ".join(pieces))
    is_alternative = pieces[-2:-1] and pieces[-2].lower() == "or"
    return Words(" ".join(pieces), "" if is_alternative else " ".join(pieces[:-1]), pieces[-1])


# PostgreSQL splits the words, so it also builds the query, in the first statement that needs it.
# querytree() returns the part of a query that an index can look for, 'T' if there is none.
# Parameters: Words, as $1 whole, $2 rest, $3 last.
QUERY_CTE = f"""query AS MATERIALIZED (
    SELECT is_nothing,
        CASE WHEN ends_in_prefix THEN (whole || ':*')::tsquery ELSE whole::tsquery END AS whole,
        CASE WHEN ends_in_prefix AND last <> '' AND rest <> whole THEN (last || ':*')::tsquery END AS prefix,
        CASE WHEN ends_in_prefix AND last <> '' AND rest <> whole AND NOT is_rest_nothing THEN rest ELSE '' END AS rest
    FROM (
        SELECT whole::text AS whole, coalesce(rest::text, '') AS rest, coalesce(last::text, '') AS last,
            querytree(whole) IN ('', 'T') AS is_nothing,
            coalesce(querytree(rest) IN ('', 'T'), TRUE) AS is_rest_nothing,
            $3 <> '' AND right(whole::text, 1) = '''' AS ends_in_prefix
        FROM websearch_to_tsquery('{CONFIGURATION}', $1) whole,
            websearch_to_tsquery('{CONFIGURATION}', nullif($2, '')) rest,
            websearch_to_tsquery('{CONFIGURATION}', nullif($3, '')) last
    ) parsed
)"""  # noqa: S608  (CONFIGURATION is a constant)
QUERY_COLUMNS = "is_nothing, whole::text, coalesce(prefix::text, ''), rest"

PARSED_QUERY = PreparedSql(
    "search_understood",
    f"WITH {QUERY_CTE} SELECT {QUERY_COLUMNS} FROM query",  # noqa: S608  (constants)
    *("text", "text", "text"),
)


def parse_result(is_nothing: bool, whole: str, prefix: str, rest: str) -> Query:
    """Takes the values of QUERY_COLUMNS; raises NothingToFindError."""
    if is_nothing:
        raise NothingToFindError
    return Query(whole, prefix, rest)
