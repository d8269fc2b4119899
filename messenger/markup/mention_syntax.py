"""The Markdown rule that finds mentions: `@` and the full name of somebody who can be mentioned.

Which names those are comes in with each text (`with_people`). Code, links and quotes hold no mention, and `\\@` is
a plain `@`. What counts as one is written down in docs/decisions/0021-mentions.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unicodedata import category, east_asian_width

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

# A name, and the ids of all who have it.
People = Mapping[str, Sequence[int]]

# Right before an @ these make it a part of an address.
OF_AN_ADDRESS = "/.@+-%=#&?"


def enable_mentions(markdown: MarkdownIt) -> None:
    markdown.inline.ruler.after("text", "mention", _find)
    markdown.add_render_rule("mention", _show)


def with_people(people: People) -> dict[str, Any]:
    """The environment of a text in which these people can be mentioned."""
    ids: dict[str, str] = {}
    for name, members in people.items():
        ids[name.casefold()] = " ".join(map(str, members))
    return {"people": ids, "lengths": sorted({len(name) for name in people}, reverse=True)}


def keep_mentions(tokens: Iterable[Token]) -> set[str]:
    """What the mentions of a parsed text name, as ids with spaces between. Those within quotes are made plain text."""
    kept, depth = set(), 0
    for token in tokens:
        depth += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
        for child in token.children or ():
            if child.type == "mention" and depth:
                child.type = "text"
            elif child.type == "mention":
                kept.add(child.meta["ids"])
    return kept


def _find(state: StateInline, silent: bool) -> bool:
    source, start = state.src, state.pos
    if source[start] != "@" or state.linkLevel or not _begins_at(source, start):
        return False
    # The longest first: where Ann and Ann Lee are in a group, "@Ann Lee" is the latter.
    for length in state.env.get("lengths", ()):
        end = start + 1 + length
        ids = state.env["people"].get(source[start + 1 : end].casefold()) if end <= state.posMax else None
        if ids and _ends_at(source, end):
            if not silent:
                token = state.push("mention", "span", 0)
                token.content, token.meta = source[start:end], {"ids": ids}
            state.pos = end
            return True
    return False


def _begins_at(source: str, at: int) -> bool:
    return at == 0 or not (source[at - 1] in OF_AN_ADDRESS or _goes_on_with(source[at - 1]))


def _ends_at(source: str, end: int) -> bool:
    return end == len(source) or not _goes_on_with(source[end])


def _goes_on_with(character: str) -> bool:
    """Whether it belongs to the word beside it. Chinese, Japanese and Korean put no spaces between words."""
    is_of_a_word = character.isalnum() or category(character).startswith("M")
    return is_of_a_word and east_asian_width(character) not in "WF"


def _show(renderer: RendererProtocol, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    return f'<span class="mention" data-member="{tokens[at].meta["ids"]}">{escapeHtml(tokens[at].content)}</span>'
