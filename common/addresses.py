"""The one stored spelling of an e-mail address, and the readable one.

`anna@müller.example` and `anna@xn--mller-kva.example` are one address: browsers submit either. The ASCII spelling is
stored, in lower case, as mail servers know it. Python's codec `idna` is of no use here: it follows IDNA 2003 and turns
`ß` into `ss`, which is another domain to browsers. They follow UTS 46 without its transitional rules, and so does this
module as far as spelling goes. Whether anyone may register such a domain is not its concern.
"""

import re
import unicodedata

from django.core.validators import MaxLengthValidator, validate_email

PREFIX = "xn--"
MAX_LENGTH = 254  # of a stored address
LABEL_MAX_LENGTH = 63
# The full stops of Chinese and Japanese keyboards.
_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))
_IGNORED = re.compile("[\u00ad\u034f\u180b-\u180d\u180f\u200b\u2060\u2064\ufe00-\ufe0f\ufeff]")
# Scripts that are written together.
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO", "LATIN"})


def stored_address(typed: str) -> str:
    """The stored spelling of an address, or of a part of one, without spaces around it. Validates nothing."""
    local, at, domain = typed.strip().rpartition("@")
    return local.lower() + at + ".".join(map(_ascii_label, domain.translate(_DOTS).split(".")))


def clean_address(typed: str) -> str:
    """`stored_address` of a valid address. Raises ValidationError for any other."""
    address = stored_address(typed)
    validate_email(address)
    MaxLengthValidator(MAX_LENGTH)(address)
    return address


def readable_address(stored: str) -> str:
    """The address as people write it. Labels that mix alphabets, and may pretend to be others, stay in ASCII."""
    local, at, domain = stored.rpartition("@")
    return local + at + ".".join(map(_readable_label, domain.split(".")))


def _ascii_label(label: str) -> str:
    # Letter by letter: the lower case of a whole word knows a final sigma, that of a domain does not.
    lower = "".join(map(str.lower, unicodedata.normalize("NFKC", _IGNORED.sub("", label))))
    lower = unicodedata.normalize("NFKC", lower)
    if lower.isascii() or len(lower) > LABEL_MAX_LENGTH:
        return lower
    return PREFIX + lower.encode("punycode").decode("ascii")


def _readable_label(label: str) -> str:
    if not label.startswith(PREFIX) or len(label) > LABEL_MAX_LENGTH:
        return label
    try:
        readable = label.removeprefix(PREFIX).encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    is_plain = _ascii_label(readable) == label and all(map(_is_letter, readable)) and _is_of_one_script(readable)
    return readable if is_plain else label


def _is_letter(character: str) -> bool:
    return character == "-" or character.isalnum() or unicodedata.category(character).startswith("M")


def _is_of_one_script(label: str) -> bool:
    """By the first words of its letters' names: LATIN SMALL LETTER A."""
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in label if letter.isalpha()}
    return len(scripts) <= 1 or scripts <= _EAST_ASIAN
