"""Pieces of pages that are the same for the same values, rendered once a process.

    {% kept slug=tenancy.slug name=tenancy.name %}<a href="{% url "tenancy:menu" slug %}">{{ name }}</a>{% endkept %}

Within the piece there are the named values and nothing else, not even the request: what it shows is what it is kept by,
so that nobody is shown a piece of somebody else's. Beside them it may depend on the language only.
"""

from typing import Any

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token, token_kwargs
from django.template.context import Context
from django.utils.functional import LazyObject
from django.utils.translation import get_language

from ippex_messenger.keep import Keep

register = template.Library()

MOST = 5_000
_kept: Keep[str] = Keep(MOST)


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
            piece = self.nodelist.render(context.new(values))
            _kept.put(key, piece)
        return piece


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
