"""The interval rule, and what it decides for one message. Nothing is sent here, no clock is read."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from messenger.models import Message, Topic


def is_email_due(posted_at: datetime, previous_posted_at: datetime | None, interval: timedelta) -> bool:
    """Whether a message posted at `posted_at` is e-mailed to its group.

    It is, unless the time since the previous message of the topic is less than the interval; a first
    message always is. (specification.txt, "interval time"; the previous message is the one before it
    in the topic, by anyone, e-mailed or not.)
    """
    return previous_posted_at is None or posted_at - previous_posted_at >= interval


@dataclass(frozen=True)
class Decision:
    """Whether a message is e-mailed, or why not, with the facts as they then were."""

    outcome: Message.Outcome
    reason: Message.Reason | str
    interval_minutes: int
    elapsed: timedelta | None


def decide(topic: Topic, posted_at: datetime) -> Decision:
    """The decision for a message posted into this topic now; the topic as it is before the message."""
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
