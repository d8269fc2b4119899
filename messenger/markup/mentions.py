"""The mentions in a message's stored HTML."""

import re

_STORED = re.compile(r'<span class="mention" data-member="([0-9 ]+)">')


def mentioned_in(html: str) -> set[int]:
    """The ids of the members mentioned in a message's stored HTML."""
    return {int(pk) for found in _STORED.findall(html) for pk in found.split()}


def shown_to(reader_pk: int, html: str) -> str:
    """A message's stored HTML for one reader: their own mentions are marked, and all ids are removed."""
    if 'class="mention"' not in html:
        return html
    own = str(reader_pk)
    return _STORED.sub(lambda found: _OWN if own in found[1].split() else _OTHERS, html)


_OWN, _OTHERS = '<span class="mention mention-own">', '<span class="mention">'
