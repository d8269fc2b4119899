"""What a message's text may be, and the HTML that is stored beside it."""

from dataclasses import dataclass, field
from functools import lru_cache

import nh3
from django.core.exceptions import ValidationError
from django.template.defaultfilters import linebreaksbr
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from markdown_it import MarkdownIt

from messenger.markup.mention_syntax import People, enable_mentions, keep_mentions, with_people
from messenger.models import BODY_MAX_LENGTH
from tenancy.validators import is_visible

# Stored with each message: a change of what render() makes out of the same text is a new version.
RENDERER_VERSION = 2

# Line breaks are kept as typed: this is a chat, and Enter makes a line.
# Deeper than this nobody quotes; markdown-it leaves out what lies deeper, and we show such a text plainly.
MAX_NESTING = 40
_markdown = MarkdownIt("commonmark", {"html": False, "linkify": True, "breaks": True, "maxNesting": MAX_NESTING})
_markdown.enable(["linkify", "strikethrough", "table"]).disable(["image", "html_block", "html_inline"])
enable_mentions(_markdown)
# Whether a text is worth looking for links: each has one of these. Most messages have none, and linkify-it's pattern
# for that, of all that an address may hold, took a quarter of the time of rendering.
_markdown.linkify.re["pretest"] = r"//|@|\.[^\W\d_]"  # type: ignore[union-attr]

# A table pads each row to its head: a head of a thousand cells would make megabytes out of kilobytes.
MAX_COLUMNS = 40
# What HTML may make of a text, in characters for each of its characters; more is no text any more.
MAX_GROWTH = 30

_TAGS = set(
    "a blockquote br code del em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong table tbody td th thead tr ul".split()
)


@dataclass(frozen=True)
class Body:
    """A text ready to be stored, with the HTML that it makes and the ids of the members whom it mentions."""

    text: str
    html: str
    mentioned: frozenset[int] = field(default_factory=frozenset)


def prepare(text: str, people: People | None = None) -> Body:
    """Clean and render, with those `people` who can be mentioned; raises ValidationError as clean_body does."""
    return render(clean_body(text), people)


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
                "A message can have 10,000 characters; this one has %(count)s too many.",
                "A message can have 10,000 characters; this one has %(count)s too many.",
                too_many,
            )
            % {"count": number_format(too_many)},
            code="max_length",
        )
    return text


def render(body: str, people: People | None = None) -> Body:
    """Markdown to sanitised HTML: no raw HTML, no images, links to http, https and mailto only.

    A text that abuses Markdown (too deep, too wide) is shown as it was typed, and mentions nobody.
    """
    if any(line.count("|") > MAX_COLUMNS for line in body.split("\n")):
        return _as_typed(body)
    env = with_people(people or {})
    tokens = _markdown.parse(body, env)
    if any(token.level >= MAX_NESTING - 1 for token in tokens):
        return _as_typed(body)
    mentions = frozenset(keep_mentions(tokens))
    html = _cleaner(mentions).clean(_markdown.renderer.render(tokens, _markdown.options, env))
    if len(html) > MAX_GROWTH * (len(body) + 10):
        return _as_typed(body)
    return Body(body, html, frozenset(int(pk) for ids in mentions for pk in ids.split()))


@lru_cache(maxsize=100)  # one for nearly all texts: those that mention nobody
def _cleaner(mentions: frozenset[str]) -> nh3.Cleaner:
    """Nothing but a mention is a span, and no span names anybody but whom this very text mentions."""
    return nh3.Cleaner(
        tags=_TAGS | {"span"} if mentions else _TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        allowed_classes={"span": {"mention"}},
        tag_attribute_values={"span": {"data-member": set(mentions)}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow",
    )


def _as_typed(body: str) -> Body:
    return Body(body, f"<p>{linebreaksbr(body, autoescape=True)}</p>")
