"""Pages that are rendered once with stand-ins for what differs from one time to the next, and then only filled in.

What prepared statements are to querysets: a template takes hundreds of lookups and calls to say the same as before but
for a few names and numbers. Why, and what to look out for: docs/decisions/0033-page-skeletons.md.
"""

import re
import secrets
from collections.abc import Mapping
from functools import lru_cache
from html import escape
from string import ascii_lowercase
from typing import Any

from django.template import Context
from django.template.loader import get_template
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from common.caching.local_cache import LocalCache

MOST = 4_000_000  # bytes
# Names return, and are worth having escaped; what somebody typed into the composer may be megabytes.
LONGEST_NAME = 200  # characters

# A text, which is escaped unless it is marked as safe; a whole number, shown without separators; HTML as it is sent.
PlaceholderValue = str | int | bytes

# What nobody can foresee, drawn anew by each process. An address accepts either where it accepts such a value at all.
_DIGITS = str(10**11 + secrets.randbelow(9 * 10**11))
_LETTERS = "".join(secrets.choice(ascii_lowercase) for _ in range(12))
_PLACEHOLDER = re.compile(rf"(?:{_LETTERS}|{_DIGITS})([0-9]{{3}})")


def render_skeleton(template: str, variant: Mapping[str, Any], values: Mapping[str, PlaceholderValue]) -> bytes:
    """The HTML of a template, whose names may have dots (`topic.name`), encoded; for the active language.

    The page is kept by all values of `variant`, with which the template may do what it likes. Those of `values` it may
    only show, as they are (numbers with `stringformat:"d"`): to neither a condition nor a filter they are what they
    will be. There is nothing else in the context, not even the request, so that nobody is shown anything of somebody
    else's.
    """
    key = (template, get_language(), *variant.values())
    skeleton = _skeletons.get(key)
    if skeleton is None:
        skeleton = _Skeleton(template, variant, values)
        _skeletons.put(key, skeleton, skeleton.size)
    return skeleton.filled(values)


class _Skeleton:
    def __init__(self, template: str, variant: Mapping[str, Any], values: Mapping[str, PlaceholderValue]) -> None:
        self.template = template
        self._source, self._variant = get_template(template), variant
        names = list(values)
        html = self.rendered({name: _placeholder(number, values[name]) for number, name in enumerate(names)})
        self._pieces: list[bytes] = []
        self._places: list[tuple[int, str]] = []
        end = 0
        for found in _PLACEHOLDER.finditer(html):
            self._pieces += [html[end : found.start()].encode(), b""]
            self._places.append((len(self._pieces) - 1, names[int(found[1])]))
            end = found.end()
        self._pieces.append(html[end:].encode())
        self.size = sum(map(len, self._pieces))

    def rendered(self, values: Mapping[str, PlaceholderValue]) -> str:
        """The template, rendered with these values; `filled` must return the same."""
        html: str = self._source.template.render(Context(as_context({**self._variant, **values})))  # type: ignore[attr-defined]
        return html

    def filled(self, values: Mapping[str, PlaceholderValue]) -> bytes:
        texts = {name: _encoded(value) for name, value in values.items()}
        pieces = self._pieces.copy()
        for position, name in self._places:
            pieces[position] = texts[name]
        return b"".join(pieces)


_skeletons: LocalCache[_Skeleton] = LocalCache(MOST)


def _encoded(value: PlaceholderValue) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return b"%d" % value
    if hasattr(value, "__html__"):
        return value.encode()
    return _escaped(value) if len(value) <= LONGEST_NAME else escape(value).encode()


@lru_cache(maxsize=2_500)
def _escaped(text: str) -> bytes:
    return escape(text).encode()


def _placeholder(number: int, value: PlaceholderValue) -> SafeString | int:
    if isinstance(value, int):
        return int(f"{_DIGITS}{number:03d}")
    return mark_safe(f"{_LETTERS}{number:03d}")  # noqa: S308


def as_context(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of names with dots, what a template finds by them."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        inner = nested
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = mark_safe(value.decode()) if isinstance(value, bytes) else value  # noqa: S308
    return nested
