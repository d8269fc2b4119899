"""Cached template fragments: rendered once per process for the same values.

    {% kept slug=tenancy.slug name=tenancy.name %}<a href="{% url "tenancy:menu" slug %}">{{ name }}</a>{% endkept %}

The context within a fragment contains the named values and nothing else, not even the request. These values are the
cache key, together with the active language, so a fragment never shows another user's data.

What varies goes into a slot, which is rendered each time with the context of the page:

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

MAX_CHARACTERS = 4_000_000  # of all fragments together

_KEEPS_SLOTS = "kept: slots are left open"  # a context key that no template can look up
_SLOT_MARKER = re.compile("\0([0-9]+)\0")  # no page contains a NUL
_numbers = count()
_slots: WeakValueDictionary[int, "SlotNode"] = WeakValueDictionary()


class SlotNode(template.Node):
    """The part of a cached fragment that is rendered each time. Outside of a fragment it has no effect."""

    def __init__(self, nodelist: NodeList) -> None:
        self.nodelist = nodelist
        self.number = next(_numbers)
        _slots[self.number] = self

    def render(self, context: Context) -> str:
        return f"\0{self.number}\0" if _KEEPS_SLOTS in context else self.nodelist.render(context)


class KeptNode(template.Node):
    def __init__(self, nodelist: NodeList, values: dict[str, FilterExpression]) -> None:
        self.nodelist = nodelist
        self.values = values

    def render(self, context: Context) -> str:
        values = {name: _unwrapped(value.resolve(context)) for name, value in self.values.items()}
        # The node itself, because another node could get its id. The types, because a safe string equals an unsafe one.
        key = (self, get_language(), *values.values(), *map(type, values.values()))
        fragment = _kept.get(key)
        if fragment is None:
            html = self.nodelist.render(context.new({**values, _KEEPS_SLOTS: True}))
            fragment = _split_at_slots(html)
            _kept.put(key, fragment, len(html))
        return "".join([part if isinstance(part, str) else part.render(context) for part in fragment])


Fragment = list[str | SlotNode]
_kept: LocalCache[Fragment] = LocalCache(MAX_CHARACTERS)


def _split_at_slots(html: str) -> Fragment:
    texts_and_numbers = _SLOT_MARKER.split(html)
    return [_slots[int(part)] if position % 2 else part for position, part in enumerate(texts_and_numbers)]


def _unwrapped(value: Any) -> Any:
    """The object behind a lazy one, which would keep its request in memory as long as the fragment is cached."""
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
