"""A language of its own: what went through gettext comes in wide letters and in brackets.

Numbers, names and what else is put into a sentence keep their letters, and so does a sentence that was forgotten.
"""

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import _lru_cache_wrapper, cache
from html.parser import HTMLParser
from typing import Any, NamedTuple

import pytest
from django.utils import translation

from common.caching import page_cache
from common.templatetags import kept
from messenger.topics import listing

OURS = ("accounts", "tenancy", "messenger", "ippex_messenger")

# What stands in a sentence for something else, and what is no word in it: it keeps its letters.
_KEPT = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{\w*\}|<[^>]*>|&\w+;|%%")
_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WIDE = {ord(letter): ord(letter) + 0xFEE0 for letter in _PLAIN}
_NARROW = {wide: narrow for narrow, wide in _WIDE.items()}
_WIDE_LETTER = r"\uff21-\uff3a\uff41-\uff5a"
# Of a sentence: places that a script fills, and links.
_NO_WORD = re.compile(r"\{\w+\}|%n|https?://\S+")
_PLAIN_LETTER = re.compile(rf"[^\W\d_{_WIDE_LETTER}]")


@cache
def spoken(sentence: str) -> str:
    if not sentence:
        return ""
    kept_parts = _KEPT.findall(sentence)
    said = [part.translate(_WIDE) for part in _KEPT.split(sentence)]
    return "⟦" + "".join(part for pair in zip(said, [*kept_parts, ""], strict=True) for part in pair) + "⟧"


def parse_result(text: str) -> str:
    """Wide letters as plain ones, for the report of a failure."""
    return text.translate(_NARROW)


@contextmanager
def spoken_everywhere() -> Iterator[None]:
    real: Any = translation._trans  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real, "gettext", lambda message: spoken(str(message)))
        patch.setattr(real, "pgettext", lambda _context, message: spoken(str(message)))
        patch.setattr(real, "ngettext", lambda one, many, number: spoken(str(one if number == 1 else many)))
        patch.setattr(real, "npgettext", lambda _context, one, many, number: spoken(str(one if number == 1 else many)))
        forget_languages()
        try:
            yield
        finally:
            forget_languages()


def forget_languages() -> None:
    """What processes keep of what they said in a language."""
    kept._kept.clear()
    page_cache._skeletons.clear()
    listing.clear_listing_cache()
    for function in _kept_by_language():
        function.cache_clear()


def _kept_by_language() -> list[Any]:
    # By the modules, not by what the garbage collector knows: what stays for good is none of its business any more.
    ours = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in OURS]
    functions = {
        function for module in ours for function in vars(module).values() if isinstance(function, _lru_cache_wrapper)
    }
    return [function for function in functions if "language" in inspect.signature(function).parameters]


# -- What a page says ----------------------------------------------------------------------------------------

_SAYING = ("title", "alt", "aria-label", "aria-description", "placeholder", "label", "aria-roledescription")
_SILENT = ("script", "style", "textarea")  # what stands in a textarea is somebody's text
_VOID = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
# Elements within a line: what stands before and behind them is read with them.
_INLINE = ("a", "b", "i", "em", "strong", "span", "time", "font", "code", "mark", "kbd", "svg", "path")


class Saying(NamedTuple):
    where: str
    text: str


class _Listener(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.sayings: list[Saying] = []
        self.lines: list[str] = [""]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        if tag not in _INLINE:
            self.lines.append("")
        values = {name: value or "" for name, value in attributes}
        for name, value in values.items():
            is_button = name == "value" and tag == "input" and values.get("type") in ("submit", "button", "reset")
            if name in _SAYING or is_button or (name.startswith("data-") and _is_in_words(value)):
                self.sayings.append(Saying(f"<{tag} {name}>", value))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass
        if tag not in _INLINE:
            self.lines.append("")

    def handle_data(self, text: str) -> None:
        if not (self.open and self.open[-1] in _SILENT):
            self.lines[-1] += text


def _is_in_words(value: str) -> bool:
    """Of a data- attribute: two words, or one that begins like a sentence; not a key, an address or a colour."""
    return bool(re.search(r"[^\W\d_]\s+\S*[^\W\d_]|^[A-Z][a-z]+", value.strip()))


def sayings_of(html: str) -> list[Saying]:
    """What can be read or heard of a page: its text, line by line, and the attributes that say something."""
    listener = _Listener()
    listener.feed(html)
    listener.close()
    return [*(Saying("text", " ".join(line.split())) for line in listener.lines if line.strip()), *listener.sayings]


def forgotten(sayings: Iterable[Saying], data: Iterable[str]) -> list[Saying]:
    """Those with letters that neither went through gettext nor are data nor an address."""
    longest_first = sorted({" ".join(word.split()) for word in data if word.strip()}, key=len, reverse=True)
    known = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in longest_first) or r"(?!)")
    return [
        Saying(where, parse_result(text))
        for where, text in sayings
        if _PLAIN_LETTER.search(known.sub("", _NO_WORD.sub("", " ".join(text.split()))))
    ]
