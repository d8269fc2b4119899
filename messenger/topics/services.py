"""Changing a topic's settings."""

from collections.abc import Collection

from django.db import transaction

from messenger.events import bump_audience_revision
from messenger.models import MessengerGroup, Topic
from messenger.notifications.delivery.cancellation import cancel_for_topic


@transaction.atomic
def save_topic(topic: Topic, update_fields: Collection[str] | None = None) -> None:
    """Save a topic, or only `update_fields` of it. If it is inactive, cancel its pending e-mails.

    Raises IntegrityError if its name has been taken in the meantime.
    """
    # Lock the group before the topic, as posting does. The other order would deadlock with a post.
    MessengerGroup.objects.select_for_update(no_key=True).get(pk=topic.group_id)
    topic.save(update_fields=update_fields)
    if not topic.is_active:
        cancel_for_topic(topic)
    bump_audience_revision(Topic.objects.filter(pk=topic.pk))
