"""The rows of the topic list: rendered once for all to whom a topic looks the same."""

from collections.abc import Iterable

from django.template.loader import render_to_string

from messenger.topics.listing import TopicRow


def render_topic_rows(topics: Iterable[TopicRow], slug: str, *, manages: bool, shows_inactive: bool) -> bytes:
    """HTML, encoded, in the language in which the rows were made. `manages`: whether the reader may edit them."""
    place = (slug, manages, shows_inactive)
    return b"".join([topic.html.get(place) or _render(topic, *place) for topic in topics])


def _render(topic: TopicRow, slug: str, manages: bool, shows_inactive: bool) -> bytes:
    context = {"topic": topic, "slug": slug, "manages": manages, "shows_inactive": shows_inactive}
    html = render_to_string("messenger/topics/_topic.html", context).encode()
    topic.html[slug, manages, shows_inactive] = html
    return html
