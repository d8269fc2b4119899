"""A pseudo-language: gettext turns every sentence into full-width letters in brackets.

Numbers, names and whatever else is put into a sentence keep their plain letters. So does a sentence that was not
marked for translation.
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

# Placeholders, tags and entities keep their letters.
_UNCHANGED = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{\w*\}|<[^>]*>|&\w+;|%%")
_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WIDE = {ord(letter): ord(letter) + 0xFEE0 for letter in _PLAIN}
_NARROW = {wide: narrow for narrow, wide in _WIDE.items()}
_WIDE_LETTER = r"\uff21-\uff3a\uff41-\uff5a"
# Parts of a sentence that are not words: placeholders that a script fills, and links.
_NO_WORD = re.compile(r"\{\w+\}|%n|https?://\S+")
_PLAIN_LETTER = re.compile(rf"[^\W\d_{_WIDE_LETTER}]")


@cache
def translated(sentence: str) -> str:
    if not sentence:
        return ""
    unchanged = _UNCHANGED.findall(sentence)
    wide = [part.translate(_WIDE) for part in _UNCHANGED.split(sentence)]
    return "⟦" + "".join(part for pair in zip(wide, [*unchanged, ""], strict=True) for part in pair) + "⟧"


def readable(text: str) -> str:
    """Full-width letters as plain ones, to report a failure."""
    return text.translate(_NARROW)


@contextmanager
def pseudo_translation() -> Iterator[None]:
    """Everything that goes through gettext is translated into the pseudo-language."""
    real: Any = translation._trans  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real, "gettext", lambda message: translated(str(message)))
        patch.setattr(real, "pgettext", lambda _context, message: translated(str(message)))
        patch.setattr(real, "ngettext", lambda one, many, number: translated(str(one if number == 1 else many)))
        patch.setattr(
            real, "npgettext", lambda _context, one, many, number: translated(str(one if number == 1 else many))
        )
        clear_language_caches()
        try:
            yield
        finally:
            clear_language_caches()


def clear_language_caches() -> None:
    """Drop what this process has cached in any language."""
    kept._kept.clear()
    page_cache._skeletons.clear()
    listing.clear_listing_cache()
    for function in _functions_cached_by_language():
        function.cache_clear()


def _functions_cached_by_language() -> list[Any]:
    # Searched in the modules, not among the garbage collector's objects: frozen ones are missing there.
    ours = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in OURS]
    functions = {
        function for module in ours for function in vars(module).values() if isinstance(function, _lru_cache_wrapper)
    }
    return [function for function in functions if "language" in inspect.signature(function).parameters]


# -- Texts of a page -----------------------------------------------------------------------------------------

_TEXT_ATTRIBUTES = ("title", "alt", "aria-label", "aria-description", "placeholder", "label", "aria-roledescription")
_IGNORED = ("script", "style", "textarea")  # a textarea contains what its user wrote
_VOID = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
# Inline elements: the text around them belongs to the same line.
_INLINE = ("a", "b", "i", "em", "strong", "span", "time", "font", "code", "mark", "kbd", "svg", "path")


class PageText(NamedTuple):
    where: str  # "text", or the tag and attribute
    text: str


class _TextCollector(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[PageText] = []
        self.lines: list[str] = [""]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        if tag not in _INLINE:
            self.lines.append("")
        values = {name: value or "" for name, value in attributes}
        for name, value in values.items():
            is_button = name == "value" and tag == "input" and values.get("type") in ("submit", "button", "reset")
            if name in _TEXT_ATTRIBUTES or is_button or (name.startswith("data-") and _is_in_words(value)):
                self.attributes.append(PageText(f"<{tag} {name}>", value))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass
        if tag not in _INLINE:
            self.lines.append("")

    def handle_data(self, text: str) -> None:
        if not (self.open and self.open[-1] in _IGNORED):
            self.lines[-1] += text


def _is_in_words(value: str) -> bool:
    """Whether the value of a data- attribute is text: two words, or one capitalised word; not a key, URL or colour."""
    return bool(re.search(r"[^\W\d_]\s+\S*[^\W\d_]|^[A-Z][a-z]+", value.strip()))


def texts_of(html: str) -> list[PageText]:
    """What people see or hear of a page: its text, line by line, and attributes that contain text."""
    collector = _TextCollector()
    collector.feed(html)
    collector.close()
    lines = (PageText("text", " ".join(line.split())) for line in collector.lines if line.strip())
    return [*lines, *collector.attributes]


def untranslated(texts: Iterable[PageText], data: Iterable[str]) -> list[PageText]:
    """The texts with plain letters that did not go through gettext, apart from words of `data` and links."""
    longest_first = sorted({" ".join(word.split()) for word in data if word.strip()}, key=len, reverse=True)
    known = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in longest_first) or r"(?!)")
    return [
        PageText(where, readable(text))
        for where, text in texts
        if _PLAIN_LETTER.search(known.sub("", _NO_WORD.sub("", " ".join(text.split()))))
    ]
