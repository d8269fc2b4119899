from typing import Any

from django.apps import AppConfig


class WithoutTopicLock(AppConfig):
    """Messages are posted without locking the topic."""

    name = "tests.fault_runs.controls.topic_lock"
    label = "without_topic_lock"

    def ready(self) -> None:
        from messenger.messages import posting

        posting._lock = unlocked


def unlocked(topic_pk: int, author: Any) -> Any:
    from messenger.messages.posting import HELD_GROUP
    from messenger.models import Topic

    HELD_GROUP(topic_pk)
    topic = Topic.objects.visible_to(author).select_related("group").get(pk=topic_pk)
    return topic, topic.group.roster
