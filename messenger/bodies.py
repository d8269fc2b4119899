"""What a message's text may be, and the HTML that is stored beside it."""

from dataclasses import dataclass

import nh3
from django.core.exceptions import ValidationError
from django.template.defaultfilters import linebreaksbr
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from markdown_it import MarkdownIt

from messenger.models import BODY_MAX_LENGTH
from tenancy.validators import is_visible

# Stored with each message: a change of what render() makes out of the same text is a new version.
RENDERER_VERSION = 1

# Line breaks are kept as typed: this is a chat, and Enter makes a line.
# Deeper than this nobody quotes; markdown-it leaves out what lies deeper, and we show such a text plainly.
MAX_NESTING = 40
_markdown = MarkdownIt("commonmark", {"html": False, "linkify": True, "breaks": True, "maxNesting": MAX_NESTING})
_markdown.enable(["linkify", "strikethrough", "table"]).disable(["image", "html_block", "html_inline"])

# A table pads each row to its head: a head of a thousand cells would make megabytes out of kilobytes.
MAX_COLUMNS = 40
# What HTML may make of a text, in characters for each of its characters; more is no text any more.
MAX_GROWTH = 30

_TAGS = set(
    "a blockquote br code del em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong table tbody td th thead tr ul".split()
)


@dataclass(frozen=True)
class Body:
    """A text ready to be stored, with the HTML that it makes."""

    text: str
    html: str


def prepare(text: str) -> Body:
    """Clean and render; raises ValidationError as clean_body does."""
    text = clean_body(text)
    return Body(text, render(text))


def clean_body(text: str) -> str:
    """The text as it is stored: line ends made `\\n`, NUL and lone surrogates taken out, nothing else.

    Raises ValidationError where nothing visible is left, or more than 10,000 characters.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    text = text.encode("utf-8", "ignore").decode("utf-8")
    if not any(is_visible(character) for character in text):
        raise ValidationError(_("Write something first."), code="required")
    if len(text) > BODY_MAX_LENGTH:
        too_many = len(text) - BODY_MAX_LENGTH
        raise ValidationError(
            ngettext(
                "A message can have 10,000 characters; this one has %(count)d too many.",
                "A message can have 10,000 characters; this one has %(count)d too many.",
                too_many,
            )
            % {"count": too_many},
            code="max_length",
        )
    return text


def render(body: str) -> str:
    """Markdown to sanitised HTML: no raw HTML, no images, links to http, https and mailto only.

    A text that abuses Markdown (too deep, too wide) is shown as it was typed.
    """
    if any(line.count("|") > MAX_COLUMNS for line in body.split("\n")):
        return _as_typed(body)
    tokens = _markdown.parse(body)
    if any(token.level >= MAX_NESTING - 1 for token in tokens):
        return _as_typed(body)
    html = nh3.clean(
        _markdown.renderer.render(tokens, _markdown.options, {}),
        tags=_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow",
    )
    return html if len(html) <= MAX_GROWTH * (len(body) + 10) else _as_typed(body)


def _as_typed(body: str) -> str:
    return f"<p>{linebreaksbr(body, autoescape=True)}</p>"
