"""What posting into a topic now would do: the same rule as for a message, asked beforehand."""

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
    """For a message of one member that is posted at one moment."""

    reason: Message.Reason | str  # why nobody would be e-mailed by the topic's settings; "": they allow it
    recipients: int  # how many would be, if the settings allow it
    email_from: datetime | None  # from when on they would allow it, if nobody posts before; None: now, or never

    @property
    def is_emailed(self) -> bool:
        return not self.reason and self.recipients > 0


def forecast(topic: Topic, author: Member, now: datetime) -> Forecast:
    """What a message that `author` posts into this topic at `now` would do."""
    own: Any = with_reader(Topic.objects.all(), author).get(pk=topic.pk)
    recipients = audience_of(own).recipients(is_muted=own.is_muted, wants_own=own.wants_own)
    return forecast_for(topic, recipients, now)


def forecast_for(topic: Topic, recipients: int, now: datetime) -> Forecast:
    """The same, where the number of recipients is known."""
    posted_at = max(now, topic.last_activity_at) if topic.last_sequence else now  # as posting clamps it
    reason = decide(topic, posted_at).reason
    email_from = topic.last_activity_at + topic.interval if reason == Message.Reason.INTERVAL else None
    return Forecast(reason, recipients, email_from)
