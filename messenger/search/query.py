"""What somebody looks for: what they typed, taken apart and made tsqueries of (docs/decisions/0019-search.md)."""

import re
import unicodedata
from typing import NamedTuple

from common.database.prepared import PreparedSql

# Shorter beginnings of words stand for too many words.
PREFIX_MIN_LENGTH = 3

# Both as the generated column has them (migration 0007).
CONFIGURATION = "messenger_text"
JOINERS = r"-/.@_:\<>&"
_APART = str.maketrans(JOINERS, " " * len(JOINERS))
_PIECE = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')


class NothingToFindError(Exception):
    """No word that a message could hold, or only such as it may not hold."""


class Query(NamedTuple):
    """What is looked for, as tsqueries."""

    whole: str
    beginning: str  # the last word, where it may be the beginning of one
    rest: str  # what must be found at least: without that beginning


class Words(NamedTuple):
    """What was typed, in the language of websearch_to_tsquery."""

    whole: str
    rest: str = ""  # without the last word
    last: str = ""  # the last word; both only where it may be the beginning of one


def to_websearch(text: str) -> Words:
    """Joined words (INV-4711, alice@example.com) are looked for one after the other, as if in quotation marks."""
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
        return Words(" ".join(pieces))
    is_alternative = pieces[-2:-1] and pieces[-2].lower() == "or"
    return Words(" ".join(pieces), "" if is_alternative else " ".join(pieces[:-1]), pieces[-1])


# The query is put together in the database, where the words are taken apart, by the statement that needs it first.
# querytree: what of a query an index can look for; T: nothing. In: $1 whole, $2 rest, $3 last.
ASKED = f"""asked AS MATERIALIZED (
    SELECT said, is_nothing, CASE WHEN is_open THEN (said || ':*')::tsquery ELSE said::tsquery END AS whole,
        CASE WHEN is_open AND last <> '' AND rest <> said THEN (last || ':*')::tsquery END AS beginning,
        CASE WHEN is_open AND last <> '' AND rest <> said AND NOT is_rest_nothing THEN rest ELSE '' END AS rest
    FROM (
        SELECT whole::text AS said, coalesce(rest::text, '') AS rest, coalesce(last::text, '') AS last,
            querytree(whole) IN ('', 'T') AS is_nothing,
            coalesce(querytree(rest) IN ('', 'T'), TRUE) AS is_rest_nothing,
            $3 <> '' AND right(whole::text, 1) = '''' AS is_open
        FROM websearch_to_tsquery('{CONFIGURATION}', $1) whole,
            websearch_to_tsquery('{CONFIGURATION}', nullif($2, '')) rest,
            websearch_to_tsquery('{CONFIGURATION}', nullif($3, '')) last
    ) parsed
)"""  # noqa: S608  (a name of ours)
QUERY = "is_nothing, whole::text, coalesce(beginning::text, ''), rest"

PARSED_QUERY = PreparedSql(
    "search_understood",
    f"WITH {ASKED} SELECT {QUERY} FROM asked",  # noqa: S608  (as above)
    *("text", "text", "text"),
)


def parse_result(is_nothing: bool, whole: str, beginning: str, rest: str) -> Query:
    """Of the columns of QUERY; raises NothingToFindError."""
    if is_nothing:
        raise NothingToFindError
    return Query(whole, beginning, rest)
