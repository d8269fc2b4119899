"""Page skeletons: pages rendered once, with placeholders for what varies, and from then on only filled in.

They are to templates what prepared statements are to querysets: rendering takes hundreds of lookups and calls, only to
produce the same page as before except for a few names and numbers. Reasons and pitfalls:
docs/decisions/0033-page-skeletons.md.
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

MAX_BYTES = 4_000_000  # of all skeletons together
# Escaped names are cached because they recur. Longer texts are not: the text in a composer can be megabytes.
MAX_CACHED_LENGTH = 200  # characters

# A text (escaped unless marked as safe), an integer (shown without separators) or encoded HTML (inserted unchanged).
PlaceholderValue = str | int | bytes

# Random for each process, so that no text can contain a placeholder on purpose. URL converters accept the digits as a
# number and the letters as a slug.
_DIGITS = str(10**11 + secrets.randbelow(9 * 10**11))
_LETTERS = "".join(secrets.choice(ascii_lowercase) for _ in range(12))
_PLACEHOLDER = re.compile(rf"(?:{_LETTERS}|{_DIGITS})([0-9]{{3}})")


def render_skeleton(template: str, variant: Mapping[str, Any], values: Mapping[str, PlaceholderValue]) -> bytes:
    """The encoded HTML of a template in the active language. Names of values may have dots (`topic.name`).

    The template may use the values of `variant` in any way: a skeleton is cached by them, the template's name and the
    language. It may only output `values`, as they are (numbers with `stringformat:"d"`): conditions and filters would
    see a placeholder instead of the value.
    The context contains nothing else, not even the request, so no page can show another user's data.
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
        self._placeholders: list[tuple[int, str]] = []
        end = 0
        for found in _PLACEHOLDER.finditer(html):
            self._pieces += [html[end : found.start()].encode(), b""]
            self._placeholders.append((len(self._pieces) - 1, names[int(found[1])]))
            end = found.end()
        self._pieces.append(html[end:].encode())
        self.size = sum(map(len, self._pieces))

    def rendered(self, values: Mapping[str, PlaceholderValue]) -> str:
        """The template rendered with these values. `filled` must return the same."""
        html: str = self._source.template.render(Context(as_context({**self._variant, **values})))  # type: ignore[attr-defined]
        return html

    def filled(self, values: Mapping[str, PlaceholderValue]) -> bytes:
        texts = {name: _encoded(value) for name, value in values.items()}
        pieces = self._pieces.copy()
        for position, name in self._placeholders:
            pieces[position] = texts[name]
        return b"".join(pieces)


_skeletons: LocalCache[_Skeleton] = LocalCache(MAX_BYTES)


def _encoded(value: PlaceholderValue) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return b"%d" % value
    if hasattr(value, "__html__"):
        return value.encode()
    return _escaped(value) if len(value) <= MAX_CACHED_LENGTH else escape(value).encode()


@lru_cache(maxsize=2_500)
def _escaped(text: str) -> bytes:
    return escape(text).encode()


def _placeholder(number: int, value: PlaceholderValue) -> SafeString | int:
    if isinstance(value, int):
        return int(f"{_DIGITS}{number:03d}")
    return mark_safe(f"{_LETTERS}{number:03d}")  # noqa: S308


def as_context(values: Mapping[str, Any]) -> dict[str, Any]:
    """The template context for these values: `topic.name` becomes an entry `name` of a dictionary `topic`."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        inner = nested
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = mark_safe(value.decode()) if isinstance(value, bytes) else value  # noqa: S308
    return nested
