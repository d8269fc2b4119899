"""Makes room for the long numbers of lists: they stand in a margin, which is made for three digits."""

from collections.abc import Iterable

from markdown_it.token import Token

LONG_NUMBERS = "long-numbers"
_LARGEST_SHORT_NUMBER = 999


def mark_long_numbers(tokens: Iterable[Token]) -> None:
    """Give the class LONG_NUMBERS to ordered lists that need it."""
    lists: list[tuple[Token, int]] = []  # open lists, from the outermost, with the largest number of their items
    for token in tokens:
        if token.type in ("ordered_list_open", "bullet_list_open"):
            lists.append((token, int(token.attrGet("start") or 1) - 1))
        elif token.type == "list_item_open":
            element, number = lists.pop()
            lists.append((element, max(number + 1, int(token.attrGet("value") or 0))))
        elif token.type in ("ordered_list_close", "bullet_list_close"):
            element, number = lists.pop()
            if element.type == "ordered_list_open" and number > _LARGEST_SHORT_NUMBER:
                element.attrSet("class", LONG_NUMBERS)
