"""django-machina, a forum: pages of 50 posts, an answer with the counters of topic, forum and member."""

from ._django import DjangoPeer


def target() -> DjangoPeer:
    return DjangoPeer("machina")
