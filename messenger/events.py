"""What happens when a topic changes: its revision is raised and its open streams are notified."""

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
# A version must outlive the counts that are cached under it (reading/unread_count.py).
VERSION_SECONDS = 10 * 60


def publish_after_commit(topic: Topic) -> None:
    """Once the transaction commits, notify the topic's streams and invalidate the tenancy's cached unread counts.

    Without Redis, streams find the change at their next access check.
    """

    def publish() -> None:
        if redis_breaker.is_open:
            return
        try:
            with redis().pipeline(transaction=False) as pipeline:
                pipeline.publish(CHANNEL, json.dumps({"topic": topic.pk}))
                pipeline.set(tenancy_version_key(topic.tenancy_id), new_version(), ex=VERSION_SECONDS)
                pipeline.execute()
        except RedisError as error:
            redis_breaker.trip()
            log.warning(
                "Redis unavailable (%s); streams find revision %s at their next check",
                type(error).__name__,
                topic.revision,
            )

    transaction.on_commit(publish, robust=True)


@transaction.atomic
def bump_revision(message_pk: int) -> None:
    """Give a message and its topic a new revision, so that open threads show what changed about the message.

    Call this when something displayed with the message changed, such as the state of its mails. Raises
    Topic.DoesNotExist if there is no such message.
    """
    topic = Topic.objects.select_for_update(no_key=True).get(messages=message_pk)
    topic.revision += 1
    topic.save(update_fields=["revision"])
    Message.objects.filter(pk=message_pk).update(revision=topic.revision)
    publish_after_commit(topic)


def bump_audience_revision(topics: QuerySet[Topic]) -> None:
    """Call this when the recipients of future messages changed; open threads update at their next access check.

    The caller must hold the locks of the topics' groups, because the rows of the topics are locked in no fixed order.
    """
    topics.update(revision=F("revision") + 1, audience_revision=F("audience_revision") + 1)


def tenancy_version_key(tenancy_pk: int) -> str:
    """The Redis key of the tenancy's version: a `new_version()` whenever something is published in the tenancy."""
    return f"unread:tenancy:{tenancy_pk}"


def new_version() -> str:
    return secrets.token_hex(6)
