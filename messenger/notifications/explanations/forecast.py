"""What posting into a topic now would do, by the same rule that decides when a message is posted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from messenger.models import Message, Topic
from messenger.notifications.recipients import audience_of
from messenger.notifications.rule import decide
from messenger.reading.annotations import with_reader
from tenancy.models import Member


@dataclass(frozen=True)
class Forecast:
    """What would happen to a message that a member posts at a given time."""

    reason: Message.Reason | str  # why the topic's settings suppress an e-mail; "" if they allow it
    recipients: int  # how many people would be e-mailed if the settings allow it
    email_from: datetime | None  # when the settings will allow it if there is no other post; None: now, or never

    @property
    def is_emailed(self) -> bool:
        return not self.reason and self.recipients > 0


def forecast(topic: Topic, author: Member, now: datetime) -> Forecast:
    """The forecast for a message by `author` at `now`."""
    annotated: Any = with_reader(Topic.objects.all(), author).get(pk=topic.pk)
    recipients = audience_of(annotated).recipients(is_muted=annotated.is_muted, wants_own=annotated.wants_own)
    return forecast_for(topic, recipients, now)


def forecast_for(topic: Topic, recipients: int, now: datetime) -> Forecast:
    """The forecast if the number of recipients is already known."""
    posted_at = max(now, topic.last_activity_at) if topic.last_sequence else now  # clamped as in posting
    reason = decide(topic, posted_at).reason
    email_from = topic.last_activity_at + topic.interval if reason == Message.Reason.INTERVAL else None
    return Forecast(reason, recipients, email_from)
