"""The Markdown rule that finds mentions: `@` followed by the full name of someone who can be mentioned.

The names are passed in with each text (`mention_env`). There are no mentions in code, links and quotes, and `\\@` is a
plain `@`. docs/decisions/0021-mentions.md defines what counts as a mention.
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

# Each name with the ids of all members who have it.
People = Mapping[str, Sequence[int]]

# Directly before an @, these make it part of an address.
ADDRESS_CHARACTERS = "/.@+-%=#&?"


def enable_mentions(markdown: MarkdownIt) -> None:
    markdown.inline.ruler.after("text", "mention", _parse_mention)
    markdown.add_render_rule("mention", _render_mention)


def mention_env(people: People) -> dict[str, Any]:
    """The parser's environment for a text in which these people can be mentioned."""
    ids: dict[str, str] = {}
    for name, members in people.items():
        ids[name.casefold()] = " ".join(map(str, members))
    return {"people": ids, "lengths": sorted({len(name) for name in people}, reverse=True)}


def collect_mentions(tokens: Iterable[Token]) -> set[str]:
    """The mentions of a parsed text, each as ids separated by spaces. Turns mentions within quotes into plain text."""
    mentions, depth = set(), 0
    for token in tokens:
        depth += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
        for child in token.children or ():
            if child.type == "mention" and depth:
                child.type = "text"
            elif child.type == "mention":
                mentions.add(child.meta["ids"])
    return mentions


def _parse_mention(state: StateInline, silent: bool) -> bool:
    source, start = state.src, state.pos
    if source[start] != "@" or state.linkLevel or not _begins_at(source, start):
        return False
    # The longest name first: if Ann and Ann Lee are in the group, "@Ann Lee" is the latter.
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
    return at == 0 or not (source[at - 1] in ADDRESS_CHARACTERS or _is_part_of_word(source[at - 1]))


def _ends_at(source: str, end: int) -> bool:
    return end == len(source) or not _is_part_of_word(source[end])


def _is_part_of_word(character: str) -> bool:
    """Whether a character joins the word next to it. Chinese, Japanese and Korean have no spaces between words."""
    is_word_character = character.isalnum() or category(character).startswith("M")
    return is_word_character and east_asian_width(character) not in "WF"


def _render_mention(
    renderer: RendererProtocol, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    return f'<span class="mention" data-member="{tokens[at].meta["ids"]}">{escapeHtml(tokens[at].content)}</span>'
