from typing import Any

from django.apps import AppConfig


class WithoutTopicLock(AppConfig):
    """Messages are posted into a topic without keeping others out of it."""

    name = "tests.fault_runs.controls.topic_lock"
    label = "without_topic_lock"

    def ready(self) -> None:
        from messenger import posting

        posting._lock = unlocked


def unlocked(topics: Any) -> Any:
    return topics
