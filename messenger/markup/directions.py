"""Text directions: each block of a message has its own, so that Hebrew and English paragraphs stand side by side.

A block of words gets `dir="auto"`, for which browsers look at its first letter. They look past whatever has a `dir` of
its own, so for a block of blocks (a quote, a list, a table) the direction of its first words is found here.
"""

from collections.abc import Iterable
from unicodedata import bidirectional

from markdown_it.token import Token

_OF_WORDS = {"paragraph_open", "heading_open", "th_open", "td_open"}
_OF_BLOCKS = {"blockquote_open", "bullet_list_open", "ordered_list_open", "list_item_open", "table_open"}
_CLOSING = {name.replace("_open", "_close") for name in _OF_BLOCKS}
# For the cleaner. The tags of code get theirs from `with_direction_of_code`.
TAGS_WITH_DIRECTION = "blockquote h1 h2 h3 h4 h5 h6 li ol p table td th ul".split()


def set_directions(tokens: Iterable[Token]) -> None:
    """Give each block of a parsed text its `dir`."""
    undecided: list[Token] = []  # open blocks of blocks without any words so far
    for token in tokens:
        if token.type in _OF_WORDS:
            token.attrSet("dir", "auto")
        elif token.type in _OF_BLOCKS:
            token.attrSet("dir", "auto")
            undecided.append(token)
        elif token.type in _CLOSING and undecided and undecided[-1].level == token.level:
            undecided.pop()
        elif undecided and token.content and (direction := direction_of(token.content)):
            if direction == "rtl":
                for block in undecided:
                    block.attrSet("dir", direction)
            undecided.clear()


def direction_of(text: str) -> str:
    """The direction of the first letter, "ltr" or "rtl"; empty if there is none."""
    if text.isascii():
        return "ltr" if any(character.isalpha() for character in text) else ""
    return next((_DIRECTIONS[kind] for character in text if (kind := bidirectional(character)) in _DIRECTIONS), "")


_DIRECTIONS = {"L": "ltr", "R": "rtl", "AL": "rtl"}


def with_direction_of_code(html: str) -> str:
    """Rendered and cleaned HTML, in which each block of code gets its `dir`: markdown-it would set it inside <pre>."""
    return html.replace("<pre>", '<pre dir="auto">')
