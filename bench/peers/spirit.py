"""Spirit, a forum: pages of 50 comments, a list of 5,000 topics, and a reply that redirects to its page."""

from bench.targets import Target

from ._django import DjangoPeer


def target() -> Target:
    return DjangoPeer("spirit")
