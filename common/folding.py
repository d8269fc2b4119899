"""Names as they are compared: `fold` to find one, `skeleton` to tell whether two look the same.

Both are defined once, here, for Python and for PostgreSQL (`FOLDED_NAME_SQL`, `NAME_SKELETON_SQL`), so that a name that
was typed and a name that is stored fold alike. A change needs a migration that replaces the functions and rewrites the
columns that they generate (docs/decisions/0038-names-and-addresses-compared.md).
"""

import re
import unicodedata

# Typed for one another: phones, word processors and keyboards choose different ones.
_PUNCTUATION = {
    **dict.fromkeys("‘’‚‛ʹʻʼʽˈ′‵`՚׳Ꞌꞌ", "'"),
    **dict.fromkeys("“”„‟«»〝〞״", '"'),
    **dict.fromkeys("‐‒–—―−", "-"),
}
# Those of which NFKD would make a space with an accent, or two marks.
_ACCENTS_ALONE = {**dict.fromkeys("´΄᾽᾿῾´", "'"), **dict.fromkeys("″‶", '"')}
# Nothing to see: Unicode's Default_Ignorable_Code_Point, and the blank Braille pattern.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Accents, and the vowel marks of Hebrew and Arabic, which most texts leave out. In other scripts marks are letters.
_ACCENTS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_LATIN_LETTER = re.compile(r"LATIN (?:SMALL|CAPITAL) LETTER ([A-Z]) WITH ")
_SPACES = re.compile(" +")


def _folded_cases() -> dict[str, str]:
    """Each letter that NFKD leaves as it is and that has another case, with the case that stands for both."""
    letters = map(chr, range(0x20000))  # beyond are ideographs
    cases = {
        letter: letter.casefold()
        for letter in letters
        if letter != "\u0345" and letter.casefold() != letter and unicodedata.normalize("NFKD", letter) == letter
    }
    return {letter: case for letter, case in cases.items() if len(case) == 1}


def _plain_letters() -> dict[str, str]:
    """Latin letters with a stroke, a hook and the like, which are no accents to Unicode, with the letter below it."""
    blocks = (range(0x80, 0x250), range(0x1E00, 0x1F00), range(0x2C60, 0x2C80), range(0xA720, 0xA800))
    letters = (chr(code) for block in blocks for code in block)
    found = ((letter, _LATIN_LETTER.match(unicodedata.name(letter, ""))) for letter in letters)
    plain = {
        letter: match[1].lower()
        for letter, match in found
        if match and unicodedata.normalize("NFKD", letter) == letter == letter.casefold()
    }
    return {**plain, "ı": "i", "ð": "d", "ŋ": "n"}


# One character for one, as SQL's `translate` does it; and one for several.
_CASES = {**_folded_cases(), **_PUNCTUATION}
_SHARP_S = {"ß": "ss", "ẞ": "ss"}
_LETTERS = _plain_letters()
_LIGATURES = {"æ": "ae", "œ": "oe", "þ": "th"}

_accents_alone = str.maketrans(_ACCENTS_ALONE)
_cases = str.maketrans({**_CASES, **_SHARP_S})
_letters = str.maketrans({**_LETTERS, **_LIGATURES})
_ignorable = re.compile(f"[{_IGNORABLE}]+")
_accents = re.compile(f"[{_ACCENTS}]+")


def _decomposed(text: str) -> str:
    """In NFKD, in one case, with one kind of each quotation mark, without what can't be seen."""
    plain = unicodedata.normalize("NFKD", text.translate(_accents_alone))
    return _ignorable.sub("", plain).translate(_cases)


def fold(text: str) -> str:
    """The text without differences of case, accents, quotation marks, width and Unicode form.

    Character by character: the folded text is that of its characters, one after another. Letters stay taken apart
    (NFKD).
    """
    return _accents.sub("", _decomposed(text)).translate(_letters)


def skeleton(name: str) -> str:
    """What names that look the same have in common. Accents stay: Muller and Müller are two names."""
    return unicodedata.normalize("NFC", _SPACES.sub(" ", _decomposed(name)).strip(" "))


# -- The same for PostgreSQL -------------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _translated(sql: str, table: dict[str, str]) -> str:
    return f"translate({sql}, {_quoted(''.join(table))}, {_quoted(''.join(table.values()))})"


def _replaced(sql: str, table: dict[str, str]) -> str:
    for letter, letters in table.items():
        sql = f"replace({sql}, {_quoted(letter)}, {_quoted(letters)})"
    return sql


def _without(sql: str, characters: str) -> str:
    return f"regexp_replace({sql}, {_quoted(f'[{characters}]+')}, '', 'g')"


def _function(name: str, sql: str) -> str:
    head = f"CREATE OR REPLACE FUNCTION {name}(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE"
    return f"{head} RETURN {sql}"


_DECOMPOSED_SQL = _replaced(
    _translated(_without(f"normalize({_translated('name', _ACCENTS_ALONE)}, NFKD)", _IGNORABLE), _CASES), _SHARP_S
)
FOLDED_NAME_SQL = _function(
    "folded_name", _replaced(_translated(_without(_DECOMPOSED_SQL, _ACCENTS), _LETTERS), _LIGATURES)
)
NAME_SKELETON_SQL = _function(
    "name_skeleton", f"normalize(btrim(regexp_replace({_DECOMPOSED_SQL}, ' +', ' ', 'g'), ' '), NFC)"
)
