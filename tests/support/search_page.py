"""Reads hits and errors from the HTML of a search page."""

import re

from messenger.models import Message


def has_hits(page: str) -> bool:
    return '<li class="hit">' in page


def hits_in(page: str) -> list[int]:
    """The ids of the messages that the page shows, in its order."""
    hits = [
        (int(topic), int(sequence))
        for topic, sequence in re.findall(r'<li class="hit"><h2 class="hit-topic"><a href="\S*/(\d+)/\?at=(\d+)#', page)
    ]
    assert len(hits) == page.count('<li class="hit">')
    messages = Message.objects.filter(topic__in={topic for topic, _ in hits}).values_list("topic", "sequence", "pk")
    ids = {(topic, sequence): pk for topic, sequence, pk in messages}
    return [ids[hit] for hit in hits]


def wrong_fields_in(page: str) -> set[str]:
    return set(re.findall(r'id="id_(\w+)_error"', page))
