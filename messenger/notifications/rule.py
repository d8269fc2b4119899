"""The interval rule and the decision for one message: pure functions that send nothing and read no clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from messenger.models import Message, Topic


def is_email_due(posted_at: datetime, previous_posted_at: datetime | None, interval: timedelta) -> bool:
    """Whether a message posted at `posted_at` is e-mailed to its group.

    It is, unless less than the interval has passed since the previous message in the topic, by any author and e-mailed
    or not. The first message of a topic is always e-mailed. (specification.txt, "interval time")
    """
    return previous_posted_at is None or posted_at - previous_posted_at >= interval


@dataclass(frozen=True)
class Decision:
    """Whether a message is e-mailed, or why not, and the interval and elapsed time that this was based on."""

    outcome: Message.Outcome
    reason: Message.Reason | str
    interval_minutes: int
    elapsed: timedelta | None  # since the previous message; None for the first


def decide(topic: Topic, posted_at: datetime) -> Decision:
    """The decision for a message posted at `posted_at`; `topic` must be in its state before the message."""
    previous = topic.last_activity_at if topic.last_sequence else None
    reason: Message.Reason | str = ""
    if not topic.notifications_enabled:
        reason = Message.Reason.NOTIFICATIONS_OFF
    elif not is_email_due(posted_at, previous, topic.interval):
        reason = Message.Reason.INTERVAL
    return Decision(
        outcome=Message.Outcome.NO_EMAIL if reason else Message.Outcome.EMAIL,
        reason=reason,
        interval_minutes=topic.notification_interval,
        elapsed=posted_at - previous if previous else None,
    )
