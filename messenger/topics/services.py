"""Changing a topic's settings."""

from collections.abc import Collection

from django.db import transaction

from messenger.events import bump_audience_revision
from messenger.models import MessengerGroup, Topic
from messenger.notifications.delivery.cancellation import cancel_for_topic


@transaction.atomic
def save_topic(topic: Topic, update_fields: Collection[str] | None = None) -> None:
    """Write a topic, or some of its columns; an inactive one has its unsent mails cancelled.

    Raises IntegrityError where the name is taken meanwhile.
    """
    # The group before the topic, as posting does: the other order would deadlock with a post.
    MessengerGroup.objects.select_for_update(no_key=True).get(pk=topic.group_id)
    topic.save(update_fields=update_fields)
    if not topic.is_active:
        cancel_for_topic(topic)
    bump_audience_revision(Topic.objects.filter(pk=topic.pk))
