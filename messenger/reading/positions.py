"""How far members have read: one sequence number for each member and topic."""

from collections.abc import Collection

from django.db import connection

from messenger.models import MessengerGroup, ReadPosition, Topic
from messenger.reading.annotations import unread_by
from messenger.reading.unread_count import invalidate_count_after_commit
from tenancy.models import Member

_MOVE_FORWARD = (
    "INSERT INTO messenger_readposition (tenancy_id, topic_id, member_id, sequence) VALUES (%s, %s, %s, %s) "
    "ON CONFLICT (member_id, topic_id) DO UPDATE SET sequence = EXCLUDED.sequence "
    "WHERE messenger_readposition.sequence < EXCLUDED.sequence"
)


def mark_read(topic: Topic, member: Member, sequence: int) -> None:
    """Record that everything up to this sequence number was on the member's screen; a position only moves forward."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVE_FORWARD, [topic.tenancy_id, topic.pk, member.pk, sequence])
    invalidate_count_after_commit(member)


def mark_unread_from(topic: Topic, member: Member, sequence: int) -> None:
    """Make the message with this sequence number and all later ones unread: the only way to move a position back."""
    ReadPosition.objects.filter(topic=topic, member=member, sequence__gte=sequence).update(sequence=sequence - 1)
    invalidate_count_after_commit(member)


def mark_all_read(member: Member) -> None:
    """Mark every topic that this member can read as read."""
    unread = unread_by(Topic.objects.visible_to(member), member)
    ReadPosition.objects.bulk_create(
        [
            ReadPosition(tenancy_id=topic.tenancy_id, topic=topic, member=member, sequence=topic.last_sequence)
            for topic in unread
        ],
        update_conflicts=True,
        unique_fields=["member", "topic"],
        update_fields=["sequence"],
        batch_size=1000,
    )
    invalidate_count_after_commit(member)


def start_with_nothing_unread(group: MessengerGroup, members: Collection[int]) -> None:
    """Mark the group's whole history as read for its new members (ids), who can nevertheless read all of it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messenger_readposition (tenancy_id, topic_id, member_id, sequence) "
            "SELECT topic.tenancy_id, topic.id, newcomer, topic.last_sequence "
            "FROM messenger_topic topic CROSS JOIN unnest(%s::bigint[]) newcomer "
            "WHERE topic.group_id = %s AND topic.last_sequence > 0 "
            "ON CONFLICT (member_id, topic_id) DO UPDATE SET sequence = EXCLUDED.sequence",
            [list(members), group.pk],
        )
