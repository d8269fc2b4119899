"""Spirit, a forum: pages of 50 comments, a list of 5,000 topics, an answer with its page of origin."""

from ._django import DjangoPeer


def target() -> DjangoPeer:
    return DjangoPeer("spirit")
