"""The Markdown rule that finds mentions: `@` followed by the full name of someone who can be mentioned.

The names are passed in with each text (`mention_env`). There are no mentions in code, links and quotes, and `\\@` is a
plain `@`. docs/decisions/0021-mentions.md defines what counts as a mention.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from itertools import chain
from typing import Any
from unicodedata import category, east_asian_width

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from common.folding import fold, skeleton

# Each name with the ids of all members who have it.
People = Mapping[str, Sequence[int]]

# By their folded name, and then by its skeleton, which tells Ines from Inês: the ids.
Names = Mapping[str, MutableMapping[str, list[int]]]

# Directly before an @, these make it part of an address.
ADDRESS_CHARACTERS = "/.@+-%=#&?"


def enable_mentions(markdown: MarkdownIt) -> None:
    markdown.inline.ruler.after("text", "mention", _parse_mention)
    markdown.add_render_rule("mention", _render_mention)


def mention_env(people: People) -> dict[str, Any]:
    """The parser's environment for a text in which these people can be mentioned."""
    names: Names = defaultdict(lambda: defaultdict(list))
    for name, members in people.items():
        names[fold(name)][skeleton(name)] += members
    return {"names": names}


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
    names: Names = state.env.get("names", {})
    end = _end_of_name(names, source, start + 1, state.posMax)
    if end is None:
        return False
    if not silent:
        token = state.push("mention", "span", 0)
        token.content, token.meta = source[start:end], {"ids": _ids(names, source[start + 1 : end])}
    state.pos = end
    return True


def _end_of_name(names: Names, source: str, start: int, limit: int) -> int | None:
    """Where the longest name that starts here ends: if Ann and Ann Lee are in the group, "@Ann Lee" is the latter.

    Names are compared folded, so the one that was typed may be longer or shorter than the one that is stored.
    """
    found, typed, longest = None, "", ""
    for at in range(start, limit):
        typed += fold(source[at])
        if not any(name.startswith(typed) for name in names):
            break
        if typed != longest and typed in names and _ends_at(source, at + 1):
            found, longest = at + 1, typed
    return found


def _ids(names: Names, typed: str) -> str:
    """The ids of those who are meant, separated by spaces. If Ines and Inês are in the group, "@Inês" is the latter."""
    alike = names[fold(typed)]
    meant = alike.get(skeleton(typed)) or chain.from_iterable(alike.values())
    return " ".join(map(str, meant))


def _begins_at(source: str, at: int) -> bool:
    return at == 0 or not (source[at - 1] in ADDRESS_CHARACTERS or _is_part_of_word(source[at - 1]))


def _ends_at(source: str, end: int) -> bool:
    return end == len(source) or not _is_part_of_word(source[end])


def _is_part_of_word(character: str) -> bool:
    """Whether a character joins the word next to it. Chinese, Japanese and Korean have no spaces between words."""
    if category(character).startswith("M"):  # it belongs to the letter before it, in any script
        return True
    return character.isalnum() and east_asian_width(character) not in "WF"


def _render_mention(
    renderer: RendererProtocol, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    return f'<span class="mention" data-member="{tokens[at].meta["ids"]}">{escapeHtml(tokens[at].content)}</span>'
