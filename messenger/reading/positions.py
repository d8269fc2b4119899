"""How far members have read: one sequence number a member and topic."""

from collections.abc import Collection

from django.db import connection

from messenger.models import MessengerGroup, ReadPosition, Topic
from messenger.reading.annotations import unread_by
from messenger.reading.unread_count import count_anew_after_commit
from tenancy.models import Member

_MOVE_FORWARD = (
    "INSERT INTO messenger_readposition (tenancy_id, topic_id, member_id, sequence) VALUES (%s, %s, %s, %s) "
    "ON CONFLICT (member_id, topic_id) DO UPDATE SET sequence = EXCLUDED.sequence "
    "WHERE messenger_readposition.sequence < EXCLUDED.sequence"
)


def mark_read(topic: Topic, member: Member, sequence: int) -> None:
    """Everything up to this message has been on the member's screen; a position only moves forward."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVE_FORWARD, [topic.tenancy_id, topic.pk, member.pk, sequence])
    count_anew_after_commit(member)


def mark_unread_from(topic: Topic, member: Member, sequence: int) -> None:
    """The message with this sequence number, and what came after it, is unread again: the only way back."""
    ReadPosition.objects.filter(topic=topic, member=member, sequence__gte=sequence).update(sequence=sequence - 1)
    count_anew_after_commit(member)


def mark_all_read(member: Member) -> None:
    """Whatever this member can read."""
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
    count_anew_after_commit(member)


def start_with_nothing_unread(group: MessengerGroup, members: Collection[int]) -> None:
    """Newcomers (ids) to a group have its whole history to read, and none of it counts as unread."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messenger_readposition (tenancy_id, topic_id, member_id, sequence) "
            "SELECT topic.tenancy_id, topic.id, newcomer, topic.last_sequence "
            "FROM messenger_topic topic CROSS JOIN unnest(%s::bigint[]) newcomer "
            "WHERE topic.group_id = %s AND topic.last_sequence > 0 "
            "ON CONFLICT (member_id, topic_id) DO UPDATE SET sequence = EXCLUDED.sequence",
            [list(members), group.pk],
        )
