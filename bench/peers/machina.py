"""django-machina, a forum: pages of 50 posts, and a reply that updates the counters of topic, forum and member."""

from bench.targets import Target

from ._django import DjangoPeer


def target() -> Target:
    return DjangoPeer("machina")
