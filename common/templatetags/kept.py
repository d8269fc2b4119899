"""Pieces of pages that are the same for the same values, rendered once a process.

    {% kept slug=tenancy.slug name=tenancy.name %}<a href="{% url "tenancy:menu" slug %}">{{ name }}</a>{% endkept %}

Within the piece there are the named values and nothing else, not even the request: what it shows is what it is kept by,
so that nobody is shown a piece of somebody else's. Beside them it may depend on the language only.

What differs each time stands in a slot, which is rendered anew and sees the page:

    {% kept %}<form action="{% url "profile" %}">{% slot %}{% csrf_token %}{% endslot %}</form>{% endkept %}
"""

import re
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token, token_kwargs
from django.template.context import Context
from django.utils.functional import LazyObject
from django.utils.translation import get_language

from common.caching.local_cache import LocalCache

register = template.Library()

MOST = 4_000_000  # characters

_IS_KEPT = "kept: slots are left open"  # no name that a template could look up
_MARK = re.compile("\0([0-9]+)\0")  # no text of a page has a NUL
_numbers = count()
_slots: WeakValueDictionary[int, "SlotNode"] = WeakValueDictionary()


class SlotNode(template.Node):
    """The part of a kept piece that is rendered anew each time; outside of one, nothing special."""

    def __init__(self, nodelist: NodeList) -> None:
        self.nodelist = nodelist
        self.number = next(_numbers)
        _slots[self.number] = self

    def render(self, context: Context) -> str:
        return f"\0{self.number}\0" if _IS_KEPT in context else self.nodelist.render(context)


class KeptNode(template.Node):
    def __init__(self, nodelist: NodeList, values: dict[str, FilterExpression]) -> None:
        self.nodelist = nodelist
        self.values = values

    def render(self, context: Context) -> str:
        values = {name: _evaluated(value.resolve(context)) for name, value in self.values.items()}
        # The node itself, not its id: another one could come to have it. The types: what is escaped equals what is not.
        key = (self, get_language(), *values.values(), *map(type, values.values()))
        piece = _kept.get(key)
        if piece is None:
            html = self.nodelist.render(context.new({**values, _IS_KEPT: True}))
            piece = _in_parts(html)
            _kept.put(key, piece, len(html))
        return "".join([part if isinstance(part, str) else part.render(context) for part in piece])


Piece = list[str | SlotNode]
_kept: LocalCache[Piece] = LocalCache(MOST)


def _in_parts(html: str) -> Piece:
    texts_and_numbers = _MARK.split(html)
    return [_slots[int(part)] if position % 2 else part for position, part in enumerate(texts_and_numbers)]


def _evaluated(value: Any) -> Any:
    """What a lazy value is; kept itself it would hold on to the request that it came from."""
    if isinstance(value, LazyObject):
        bool(value)
        return value._wrapped
    return value


@register.tag
def kept(parser: Parser, token: Token) -> KeptNode:
    words = token.split_contents()[1:]
    values: dict[str, Any] = token_kwargs(words, parser)
    if words:
        raise template.TemplateSyntaxError(f"kept takes values by name: {' '.join(words)}")
    nodelist = parser.parse(("endkept",))
    parser.delete_first_token()
    return KeptNode(nodelist, values)


@register.tag
def slot(parser: Parser, token: Token) -> SlotNode:
    if len(token.split_contents()) > 1:
        raise template.TemplateSyntaxError("slot takes no values")
    nodelist = parser.parse(("endslot",))
    parser.delete_first_token()
    return SlotNode(nodelist)
