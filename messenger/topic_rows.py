"""The rows of the topic list: rendered once for all to whom a topic looks the same."""

from collections.abc import Iterable

from django.template.loader import render_to_string
from django.utils.translation import get_language

from ippex_messenger.keep import Keep
from messenger.topic_list import TopicRow

_rows: Keep[bytes] = Keep(4_000_000)  # their length


def render_topic_rows(topics: Iterable[TopicRow], slug: str, *, manages: bool, shows_inactive: bool) -> bytes:
    """HTML, encoded. `manages`: whether the reader may edit them."""
    place = (slug, manages, shows_inactive, get_language())
    return b"".join([_row(topic, *place) for topic in topics])


def _row(topic: TopicRow, slug: str, manages: bool, shows_inactive: bool, language: str | None) -> bytes:
    key = (topic, slug, manages, shows_inactive, language)
    html = _rows.get(key)
    if html is None:
        context = {"topic": topic, "slug": slug, "manages": manages, "shows_inactive": shows_inactive}
        html = render_to_string("messenger/_topic.html", context).encode()
        _rows.put(key, html, len(html))
    return html
