"""Mutes, read positions and catch-up mails cannot refer to rows of another tenancy either."""

from django.db import migrations

REFERENCES = [
    # table, column, referenced table, name
    ("topicmute", "topic_id", "messenger_topic", "mute_topic_same_tenancy"),
    ("topicmute", "member_id", "tenancy_member", "mute_member_same_tenancy"),
    ("readposition", "topic_id", "messenger_topic", "read_position_topic_same_tenancy"),
    ("readposition", "member_id", "tenancy_member", "read_position_member_same_tenancy"),
    ("catchup", "member_id", "tenancy_member", "catch_up_member_same_tenancy"),
    ("catchuptopic", "catch_up_id", "messenger_catchup", "catch_up_topic_catch_up_same_tenancy"),
    ("catchuptopic", "topic_id", "messenger_topic", "catch_up_topic_topic_same_tenancy"),
]


class Migration(migrations.Migration):
    dependencies = [("messenger", "0003_notifications_explained")]
    operations = [
        migrations.RunSQL(
            f"ALTER TABLE messenger_{table} ADD CONSTRAINT {name} "
            f"FOREIGN KEY ({column}, tenancy_id) REFERENCES {referenced} (id, tenancy_id) "
            "DEFERRABLE INITIALLY DEFERRED",
            f"ALTER TABLE messenger_{table} DROP CONSTRAINT {name}",
        )
        for table, column, referenced, name in REFERENCES
    ] + [
        # What was read so far is unknown. None of it counts as unread, as for new members of a group.
        migrations.RunSQL(
            "INSERT INTO messenger_readposition (tenancy_id, topic_id, member_id, sequence) "
            "SELECT topic.tenancy_id, topic.id, membership.member_id, topic.last_sequence "
            "FROM messenger_topic topic JOIN messenger_groupmembership membership USING (group_id) "
            "WHERE membership.left_at IS NULL AND topic.last_sequence > 0 "
            "ON CONFLICT (member_id, topic_id) DO NOTHING",
            migrations.RunSQL.noop,
        ),
    ]
