"""The rows of the topic list: rendered once for all to whom a topic looks the same."""

from collections.abc import Iterable

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from ippex_messenger.keep import Keep
from messenger.topic_list import TopicRow

_rows: Keep[str] = Keep(4_000_000)  # characters


def render_topic_rows(topics: Iterable[TopicRow], slug: str, *, manages: bool, shows_inactive: bool) -> SafeString:
    """`manages`: whether the reader may edit them."""
    place = (slug, manages, shows_inactive, get_language())
    return mark_safe("".join(_row(topic, *place) for topic in topics))  # noqa: S308  (rendered by a template)


def _row(topic: TopicRow, slug: str, manages: bool, shows_inactive: bool, language: str | None) -> str:
    key = (topic, slug, manages, shows_inactive, language)
    html = _rows.get(key)
    if html is None:
        context = {"topic": topic, "slug": slug, "manages": manages, "shows_inactive": shows_inactive}
        html = render_to_string("messenger/_topic.html", context)
        _rows.put(key, html, len(html))
    return html
