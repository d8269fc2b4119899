"""What a page of the search says, read from its HTML."""

import re

from messenger.models import Message


def has_hits(page: str) -> bool:
    return '<li class="hit">' in page


def hits_in(page: str) -> list[int]:
    """The ids of the messages that it shows, in its order."""
    places = [
        (int(topic), int(sequence))
        for topic, sequence in re.findall(r'<li class="hit"><h2 class="hit-topic"><a href="\S*/(\d+)/\?at=(\d+)#', page)
    ]
    assert len(places) == page.count('<li class="hit">')
    found = Message.objects.filter(topic__in={topic for topic, _ in places}).values_list("topic", "sequence", "pk")
    ids = {(topic, sequence): pk for topic, sequence, pk in found}
    return [ids[place] for place in places]


def wrong_fields_in(page: str) -> set[str]:
    return set(re.findall(r'id="id_(\w+)_error"', page))
