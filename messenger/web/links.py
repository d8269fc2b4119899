"""Cached URLs for links on nearly every page: resolving a URL takes half as long as rendering a message."""

from functools import lru_cache

from django.urls import reverse


@lru_cache(maxsize=5_000)
def thread_url(slug: str, topic_pk: int) -> str:
    return reverse("messenger:thread", args=[slug, topic_pk])


@lru_cache(maxsize=1_000)
def search_url(slug: str) -> str:
    return reverse("messenger:search", args=[slug])
