"""No row can refer to a row of another tenancy: PostgreSQL has composite foreign keys, Django has not.

Each replaces the plain foreign key of its column (`db_constraint=False` in the model).
"""

from django.db import migrations

REFERENCES = [
    # table, column, referenced table, name
    ("groupmembership", "group_id", "messenger_messengergroup", "membership_group_same_tenancy"),
    ("groupmembership", "member_id", "tenancy_member", "membership_member_same_tenancy"),
    ("topic", "group_id", "messenger_messengergroup", "topic_group_same_tenancy"),
    ("message", "topic_id", "messenger_topic", "message_topic_same_tenancy"),
    ("message", "author_id", "tenancy_member", "message_author_same_tenancy"),
    ("delivery", "message_id", "messenger_message", "delivery_message_same_tenancy"),
    ("delivery", "member_id", "tenancy_member", "delivery_member_same_tenancy"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("messenger", "0001_initial"),
        ("tenancy", "0002_references_within_a_tenancy"),
    ]
    operations = [
        migrations.RunSQL(
            f"ALTER TABLE messenger_{table} ADD CONSTRAINT {name} "
            f"FOREIGN KEY ({column}, tenancy_id) REFERENCES {referenced} (id, tenancy_id) "
            "DEFERRABLE INITIALLY DEFERRED",
            f"ALTER TABLE messenger_{table} DROP CONSTRAINT {name}",
        )
        for table, column, referenced, name in REFERENCES
    ]
