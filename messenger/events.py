"""A topic changed: its revision is raised, and those who follow it are told."""

import json
import logging
import secrets

from django.db import transaction
from django.db.models import F, QuerySet
from redis.exceptions import RedisError

from common.caching.circuit_breaker import redis_breaker
from common.caching.redis_client import redis
from messenger.models import Message, Topic

log = logging.getLogger(__name__)

CHANNEL = "messenger:topics"
# How long the mark of a tenancy lasts: longer than what is remembered under it (reading/unread_count.py).
MARK_SECONDS = 10 * 60


def publish_after_commit(topic: Topic) -> None:
    """Tell the streams of this topic, once it is committed, that it is worth looking; menus count what is unread anew.

    Without Redis streams find what is new by themselves, at their next look at who may listen.
    """

    def announce() -> None:
        if redis_breaker.is_open:
            return
        try:
            with redis().pipeline(transaction=False) as pipeline:
                pipeline.publish(CHANNEL, json.dumps({"topic": topic.pk}))
                pipeline.set(mark_of_tenancy(topic.tenancy_id), new_mark(), ex=MARK_SECONDS)
                pipeline.execute()
        except RedisError as error:
            redis_breaker.trip()
            log.warning("Redis away (%s); streams find revision %s by looking", type(error).__name__, topic.revision)

    transaction.on_commit(announce, robust=True)


@transaction.atomic
def bump_revision(message_pk: int) -> None:
    """What is said about a message has changed: its topic has a new revision, and open threads look."""
    topic = Topic.objects.select_for_update(no_key=True).get(messages=message_pk)
    topic.revision += 1
    topic.save(update_fields=["revision"])
    Message.objects.filter(pk=message_pk).update(revision=topic.revision)
    publish_after_commit(topic)


def bump_audience_revision(topics: QuerySet[Topic]) -> None:
    """Who would be mailed a next message has changed: open threads ask again, at their streams' next look.

    The caller holds the topics' groups: rows of many topics are locked here in no order.
    """
    topics.update(revision=F("revision") + 1, audience_revision=F("audience_revision") + 1)


def mark_of_tenancy(tenancy_pk: int) -> str:
    """The key of what changes with everything that is said in a tenancy; `new_mark()` is its value."""
    return f"unread:tenancy:{tenancy_pk}"


def new_mark() -> str:
    return secrets.token_hex(6)
