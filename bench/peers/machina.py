"""django-machina, a forum: pages of 50 posts, an answer with the counters of topic, forum and member."""

from bench.targets import Target

from ._django import DjangoPeer


def target() -> Target:
    return DjangoPeer("machina")
