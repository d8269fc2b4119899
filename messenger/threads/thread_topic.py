"""A topic as one member opens it."""

from dataclasses import dataclass

from common.database.prepared import Prepared, columns, instance
from messenger.models import Topic
from messenger.notifications.recipients import audience_of
from messenger.reading.annotations import with_first_unread
from tenancy.models import Member

TOPIC_OF_READER = Prepared(
    "topic_of_reader",
    lambda member, topic: with_first_unread(
        Topic.objects.visible_to(Member(pk=member)).filter(pk=topic), Member(pk=member)
    ).values_list("group__name", "is_muted", "wants_own", "first_unread", *columns(Topic)),
    "bigint",
    "bigint",
)


@dataclass(frozen=True, slots=True)
class ThreadTopic:
    """A topic, its audience, and what is specific to its reader."""

    topic: Topic
    group_name: str
    people: int  # number of members who can read it
    recipients: int  # number of members who would be e-mailed a message by this reader
    is_muted: bool
    read_up_to: int  # a sequence number: the last before the first unread message, or the last of all


def topic_for(reader: Member, pk: int) -> ThreadTopic:
    """The topic with this id for a reader. Raises Topic.DoesNotExist if they may not read it."""
    for group_name, is_muted, wants_own, first_unread, *values in TOPIC_OF_READER(reader.pk, pk):
        topic = instance(Topic, values)
        audience = audience_of(topic)
        recipients = audience.recipients(is_muted=is_muted, wants_own=wants_own)
        read_up_to = first_unread - 1 if first_unread else topic.last_sequence
        return ThreadTopic(topic, group_name, audience.people, recipients, is_muted, read_up_to)
    raise Topic.DoesNotExist
