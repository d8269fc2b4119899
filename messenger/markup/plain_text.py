"""The words of a rendered message, for excerpts."""

import re
from html import unescape

_TAG = re.compile(r"<[^>]*>")
# A tag between two words. Inline markup, as in “<strong>412</strong>,”, separates none.
_TAG_BETWEEN_WORDS = re.compile(r"<(?!/?(?:a|code|del|em|s|span|strong)\b)[^>]*>")


def plain_text(html: str) -> str:
    """The text of sanitised HTML on one line, without any marks. (In sanitised HTML no attribute contains a `>`.)"""
    return " ".join(unescape(_TAG.sub("", _TAG_BETWEEN_WORDS.sub(" ", html))).split())
