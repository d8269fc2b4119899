"""Validates the text of a message and renders it to the HTML that is stored with it."""

from dataclasses import dataclass, field
from functools import lru_cache

import nh3
from django.core.exceptions import ValidationError
from django.template.defaultfilters import linebreaksbr
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from markdown_it import MarkdownIt

from messenger.markup.directions import TAGS_WITH_DIRECTION, set_directions, with_direction_of_code
from messenger.markup.list_numbers import LONG_NUMBERS, mark_long_numbers
from messenger.markup.mention_syntax import People, collect_mentions, enable_mentions, mention_env
from messenger.markup.typed_text import is_nothing_visible, keep_typed_text
from messenger.models import BODY_MAX_LENGTH
from tenancy.validators import is_visible

# Stored with each message. Increment it when render() returns different HTML for the same text.
RENDERER_VERSION = 4

# No serious text is nested deeper. markdown-it leaves out what is, so such a text is displayed as it was typed.
MAX_NESTING = 40
# `breaks`: this is a chat, and Enter starts a new line.
_markdown = MarkdownIt("commonmark", {"html": False, "linkify": True, "breaks": True, "maxNesting": MAX_NESTING})
_markdown.enable(["linkify", "strikethrough", "table"]).disable(["image", "html_block", "html_inline"])
keep_typed_text(_markdown)
enable_mentions(_markdown)

# Rows of a table are padded to the width of its header: a thousand header cells turn kilobytes into megabytes.
MAX_COLUMNS = 40
# Characters of HTML per character of text. Beyond this the text is not meant to be read.
MAX_GROWTH = 30

_TAGS = set(
    "a blockquote br code del em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong table tbody td th thead tr ul".split()
)


@dataclass(frozen=True)
class Body:
    """A text ready to be stored, with its HTML and the ids of the members it mentions."""

    text: str
    html: str
    mentioned: frozenset[int] = field(default_factory=frozenset)


def prepare(text: str, people: People | None = None) -> Body:
    """Clean and render a text in which `people` can be mentioned. Raises ValidationError as `clean_body` does."""
    return render(clean_body(text), people)


def clean_body(text: str) -> str:
    """The text as it will be stored: line ends become `\\n`, NUL and lone surrogates are removed, nothing else changes.

    Raises ValidationError if nothing visible is left, or more than 10,000 characters.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    text = text.encode("utf-8", "ignore").decode("utf-8")
    if not any(is_visible(character) for character in text):
        raise ValidationError(_("Write a message first."), code="required")
    if len(text) > BODY_MAX_LENGTH:
        too_many = len(text) - BODY_MAX_LENGTH
        raise ValidationError(
            ngettext(
                "This message is %(count)s character over the limit of 10,000. Shorten it and try again.",
                "This message is %(count)s characters over the limit of 10,000. Shorten it and try again.",
                too_many,
            )
            % {"count": number_format(too_many)},
            code="max_length",
        )
    return text


def render(body: str, people: People | None = None) -> Body:
    """Markdown to sanitised HTML: no raw HTML, no images, links to http, https and mailto only.

    `people` can be mentioned. A text that abuses Markdown (nested too deep, tables too wide, too much HTML) is
    displayed as it was typed, and mentions no one.
    """
    if any(line.count("|") > MAX_COLUMNS for line in body.split("\n")):
        return _as_typed(body)
    env = mention_env(people or {})
    tokens = _markdown.parse(body, env)
    if any(token.level >= MAX_NESTING - 1 for token in tokens) or is_nothing_visible(tokens):
        return _as_typed(body)
    mentions = frozenset(collect_mentions(tokens))
    set_directions(tokens)
    mark_long_numbers(tokens)
    html = _cleaner(mentions).clean(_markdown.renderer.render(tokens, _markdown.options, env))
    html = with_direction_of_code(html)
    if len(html) > MAX_GROWTH * (len(body) + 10):
        return _as_typed(body)
    return Body(body, html, frozenset(int(pk) for ids in mentions for pk in ids.split()))


@lru_cache(maxsize=100)  # one entry serves nearly all texts: those without mentions
def _cleaner(mentions: frozenset[str]) -> nh3.Cleaner:
    """Allows `span` for mentions only, and only with the ids that this text mentions."""
    return nh3.Cleaner(
        tags=_TAGS | {"span"} if mentions else _TAGS,
        attributes={tag: {"dir"} for tag in TAGS_WITH_DIRECTION}
        | {"a": {"href"}, "ol": {"dir", "start"}, "li": {"dir", "value"}},
        allowed_classes={"span": {"mention"}, "ol": {LONG_NUMBERS}},
        tag_attribute_values={"span": {"data-member": set(mentions)}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow",
    )


def _as_typed(body: str) -> Body:
    return Body(body, f'<p dir="auto">{linebreaksbr(body, autoescape=True)}</p>')
