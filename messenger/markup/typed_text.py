"""Markdown rules that lose nothing of what was typed: a mark disappears only where it takes effect.

CommonMark was made for documents, whose authors look at the result and know the rules. Here payroll staff write
calculations, paths and dates, and what they typed must be there (docs/decisions/0036-what-was-typed-is-there.md).
"""

import re
from collections.abc import Sequence
from unicodedata import category, east_asian_width
from urllib.parse import urlsplit

from linkify_it import LinkifyIt
from linkify_it.main import Match
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import escapedSplit, table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.link import link
from markdown_it.token import Token

from common.folding import fold
from tenancy.validators import NAME_MAX_LENGTH, is_visible

# Absolute addresses only: a message is read on pages, in mails and in search results alike.
_ADDRESS = re.compile(r"https?://[^/?#\s]|mailto:[^@\s]+@", re.IGNORECASE)
# A drive or a server at the beginning, or a backslash between two names.
_PATH = re.compile(r"[^\w\\]*(?:[A-Za-z]:\\|\\\\\w|\.{1,2}\\)|.*\w\\\w")
# Marks that end a path if they follow a name: “**C:\data**” is a path in bold.
_MARKS_AFTER_PATH = re.compile(r"(?<=\w)(?:\*+|_+|~~|[.,;:!?)\]\"'”’»]+)+$")
LONGEST_PATH = 260  # characters, as in Windows
_MARKS_AT_LINE_START = "#>-+"
_PAIRED_MARKS = "*_~`"
_SINGLE_MARKS = "[]<>|\\"


def keep_typed_text(markdown: MarkdownIt) -> None:
    """Change the rules of a parser so that they keep all text."""
    # Definitions of references vanish, named characters turn into others, and a line below a text into nothing.
    markdown.disable(["reference", "entity", "lheading"])
    markdown.block.ruler.at("table", _table_with_all_cells, {"alt": ["paragraph", "reference"]})
    markdown.inline.ruler.at("link", _link_with_text)
    markdown.inline.ruler.at("escape", _escape)
    markdown.inline.ruler.before("strikethrough", "inside_word", _mark_inside_word)
    markdown.core.ruler.after("block", "closing_hashes", _keep_closing_hashes)
    markdown.core.ruler.push("typed_blocks", _show_empty_blocks)
    markdown.core.ruler.push("hosts", _show_other_hosts)
    markdown.validateLink = lambda url: _ADDRESS.match(url) is not None  # type: ignore[method-assign]
    markdown.linkify = _Links()


# -- Blocks --------------------------------------------------------------------------------------------


def _table_with_all_cells(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A table, unless a row has more cells than its header: those would be left out."""
    tokens, line, parent = len(state.tokens), state.line, state.parentType
    if not table(state, start, end, silent):
        return False
    if silent:
        return True
    header, _, *rows = (_count_cells(state, number) for number in range(start, state.line))
    if all(count <= header for count in rows):
        return True
    del state.tokens[tokens:]
    state.line, state.parentType = line, parent
    return False


def _count_cells(state: StateBlock, line: int) -> int:
    cells = escapedSplit(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip())
    return len(cells) - (cells[:1] == [""]) - (cells[1:] != [] and cells[-1] == "")


def _keep_closing_hashes(state: StateCore) -> None:
    """“# Question about C #”: CommonMark takes the second one away as well."""
    lines: list[str] | None = None
    for opening, inline in zip(state.tokens, state.tokens[1:], strict=False):
        if opening.type == "heading_open" and inline.content and opening.map:
            lines = lines or state.src.split("\n")
            closing = re.search(r"\s#+\s*$", lines[opening.map[0]])
            if closing and not inline.content.endswith("#"):
                inline.content += closing[0].rstrip()


def _show_empty_blocks(state: StateCore) -> None:
    """A heading, quote or code block without content is displayed as it was typed. So is what a code block is called.

    List items have the numbers that were typed: “12. May” is a date, not the first of a list.
    """
    shown: list[Token] = []
    lists: list[int] = []  # of each open list, the number that its next item would have; 0: it has none
    for token in state.tokens:
        previous = shown[-1] if shown else None
        if token.type == "fence":
            shown += _fence(token)
            continue
        if token.type == "blockquote_close" and previous and previous.type == "blockquote_open":
            shown.pop()
            first, end = previous.map or (0, 0)
            quoted = [line for line in state.src.split("\n")[first:end] if line.lstrip().startswith(">")]
            shown += _paragraph("\n".join(">" for _ in quoted), previous.level)
            continue
        if token.type == "heading_close" and previous and not previous.children:
            inline, opening = shown.pop(), shown.pop()
            shown += _paragraph(opening.markup, inline.level - 1)
            continue
        if token.type in ("bullet_list_open", "ordered_list_open"):
            lists.append(int(token.attrs.get("start", 1)) if token.type == "ordered_list_open" else 0)
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            lists.pop()
        elif token.type == "list_item_open" and token.info:
            if int(token.info) != lists[-1]:
                token.attrs["value"] = int(token.info)
            lists[-1] = int(token.info) + 1
        shown.append(token)
    state.tokens = shown


def _fence(token: Token) -> list[Token]:
    if token.content.strip():
        return [*(_paragraph(token.info, token.level) if token.info.strip() else ()), token]
    is_closed = token.map is not None and token.map[1] - token.map[0] > 1
    return _paragraph(token.markup + token.info + f"\n{token.markup}" * is_closed, token.level)


def _paragraph(text: str, level: int) -> list[Token]:
    """A text with nothing in it that takes effect."""
    children: list[Token] = []
    for number, line in enumerate(text.strip().split("\n")):
        if number:
            children.append(Token("softbreak", "br", 0))
        children.append(Token("text", "", 0, content=line))
    inline = Token("inline", "", 0, level=level + 1, content=text, children=children)
    return [
        Token("paragraph_open", "p", 1, level=level, block=True),
        inline,
        Token("paragraph_close", "p", -1, level=level, block=True),
    ]


# -- Within a line -------------------------------------------------------------------------------------


def _escape(state: StateInline, silent: bool) -> bool:
    """A backslash disappears only before a mark that would take effect, and never in a path."""
    if state.src[state.pos] != "\\":
        return False
    end = _end_of_path(state.src, state.pos)
    if end is None:
        end = state.pos + 2
        is_gone = _takes_effect(state, state.pos + 1)
        text = state.src[state.pos + is_gone : end]
        if state.src[state.pos + 1 : end] == "\n":
            text, end = "\\", state.pos + 1
    else:
        text = state.src[state.pos : end]
    if not silent:
        # Of this type, so that no rule joins it with the text beside it and takes both for a link.
        token = state.push("text_special", "", 0)
        token.content, token.markup, token.info = text, text, "escape"
    state.pos = min(end, state.posMax)
    return True


def _end_of_path(source: str, at: int) -> int | None:
    """Where the path ends that the backslash is part of; None if it is part of none."""
    nearby = max(at - LONGEST_PATH, 0)
    before = re.split(r"\s", source[nearby:at])[-1]
    after = re.split(r"\s", source[at : at + LONGEST_PATH], maxsplit=1)[0]
    if not _PATH.match(before + after):
        return None
    return max(at - len(before) + len(_MARKS_AFTER_PATH.sub("", before + after)), at + 1)


def _takes_effect(state: StateInline, at: int) -> bool:
    """Whether the character, if nothing stood before it, would be a mark."""
    source, mark = state.src, state.src[at : at + 1]
    if not mark:
        return False
    if mark in _PAIRED_MARKS:
        return source.count(mark) > 1 and (mark == "`" or _can_delimit(state, at))
    line = source[source.rfind("\n", 0, at - 1) + 1 : at - 1]
    if mark in _MARKS_AT_LINE_START and not line.strip():
        return True
    if mark in ".)" and line.strip().isdecimal():
        return source[at + 1 : at + 2] in ("", " ", "\n")
    if mark == "@":
        following = fold(source[at + 1 : at + 1 + NAME_MAX_LENGTH])
        return any(following.startswith(name) for name in state.env.get("names", ()))
    if mark == "\\":
        return source[at + 1 : at + 2] in (*_PAIRED_MARKS, *_SINGLE_MARKS)
    return mark in _SINGLE_MARKS


def _can_delimit(state: StateInline, at: int) -> bool:
    """Whether a mark could begin or end emphasis, if the backslash before it were not there."""
    bare = StateInline(state.src[: at - 1] + state.src[at:], state.md, state.env, [])
    found = bare.scanDelims(at - 1, state.src[at] != "_")
    return found.can_open or found.can_close


def _mark_inside_word(state: StateInline, silent: bool) -> bool:
    """“5*8*20” is a calculation: marks between two letters or figures are text."""
    mark = state.src[state.pos]
    if mark not in "*~":
        return False
    end = state.pos
    while end < state.posMax and state.src[end] == mark:
        end += 1
    before, after = state.src[: state.pos][-1:], state.src[end : end + 1]
    if not ((_is_of_a_word(before) or before == ")") and (_is_of_a_word(after) or after == "(")):
        return False
    if not silent:
        state.pending += state.src[state.pos : end]
    state.pos = end
    return True


def _is_of_a_word(character: str) -> bool:
    """Chinese, Japanese and Korean put no spaces between words, so their characters do not count."""
    return character.isalnum() and east_asian_width(character) not in "WF"


def _link_with_text(state: StateInline, silent: bool) -> bool:
    """A link, unless it has nothing to click on, or a title that only a mouse could read."""
    tokens, pending, position = len(state.tokens), state.pending, state.pos
    if not link(state, silent):
        return False
    if silent:
        return True
    opening, *inside, _ = state.tokens[tokens + bool(pending) :]
    if "title" not in opening.attrs and _can_be_seen("".join(token.content for token in inside)):
        return True
    del state.tokens[tokens:], state.tokens_meta[tokens:]
    state.pending, state.pos = pending, position
    return False


# -- Addresses -----------------------------------------------------------------------------------------


class _Links(LinkifyIt):
    """Finds addresses with a scheme or “www.”, and e-mail addresses; “payroll.de” in a sentence may be anything."""

    def __init__(self) -> None:
        super().__init__()
        # Decides whether a text is searched for links: every link contains one of these, and most messages none.
        # The library's own pattern, with every character that an address may contain, took a quarter of the time.
        self.re["pretest"] = r"//|@|[wW]\."

    def match(self, text: str) -> list[Match] | None:
        found = [_without_punctuation(one) for one in super().match(text) or ()]
        return [one for one in found if one.schema in ("http:", "https:", "mailto:") or _is_www(one)] or None

    def match_at_start(self, text: str) -> Match | None:
        found = super().match_at_start(text)
        return found and _without_punctuation(found)


def _is_www(found: Match) -> bool:
    return not found.schema and found.text.lower().startswith("www.")


def _without_punctuation(found: Match) -> Match:
    """Full-width and other foreign punctuation ends an address, as “.” and “,” do."""
    end = next((at for at, character in enumerate(found.text) if _ends_address(character)), len(found.text))
    cut = len(found.text) - end
    if cut:
        found.text, found.raw, found.url = (part[: len(part) - cut] for part in (found.text, found.raw, found.url))
        found.last_index -= cut
    return found


def _ends_address(character: str) -> bool:
    return character > "\x7f" and character != "·" and category(character) in ("Po", "Ps", "Pe", "Pi", "Pf")


def _show_other_hosts(state: StateCore) -> None:
    """Where the text of a link looks like another address, the real one is displayed beside it."""
    for inline in state.tokens:
        if inline.type != "inline" or not any(child.type == "link_open" for child in inline.children or ()):
            continue
        children: list[Token] = []
        text, target = "", ""
        for child in inline.children or ():
            children.append(child)
            if child.type == "link_open":
                text, target = "", str(child.attrs["href"]) if not child.info else ""
            elif child.type == "link_close" and target:
                if (host := _host_of(target)) not in (shown := _hosts_in(text)) and shown:
                    children.append(Token("text", "", 0, content=f" ({host})"))
            else:
                text += child.content
        inline.children = children


_any_links = LinkifyIt()
_OWN_WORD = re.compile(r"(?:https?://|www\.)[^\s/?#]+", re.IGNORECASE)


def _hosts_in(text: str) -> set[str]:
    """What looks like an address, whether or not there are hosts of that kind."""
    urls = [found.url for found in _any_links.match(text) or ()]
    return {
        _host_of(url if "://" in url or ":" in url else f"http://{url}") for url in [*urls, *_OWN_WORD.findall(text)]
    }


def _host_of(url: str) -> str:
    """Of a mail address the address, of any other the host without “www.”, both as people read them."""
    if url.lower().startswith("mailto:"):
        return url[len("mailto:") :].partition("?")[0].lower()
    try:
        host = urlsplit(url).hostname or ""
        return host.encode("idna").decode("idna").lower().removeprefix("www.")
    except (UnicodeError, ValueError):
        return url.lower()


def is_nothing_visible(tokens: Sequence[Token]) -> bool:
    """Whether nothing of a text can be read, as in “---” or “-” alone."""
    contents = (child.content for token in tokens for child in (token.children or (token,)))
    return not any(map(_can_be_seen, contents))


def _can_be_seen(text: str) -> bool:
    return any(map(is_visible, text))
