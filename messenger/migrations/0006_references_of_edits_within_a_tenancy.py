"""The member who removed a message, and its earlier versions, belong to its tenancy."""

from django.db import migrations

REFERENCES = [
    # table, column, referenced table, name
    ("message", "removed_by_id", "tenancy_member", "message_remover_same_tenancy"),
    ("messageversion", "message_id", "messenger_message", "version_message_same_tenancy"),
]


class Migration(migrations.Migration):
    dependencies = [("messenger", "0005_messages_edited_and_removed")]
    operations = [
        migrations.RunSQL(
            f"ALTER TABLE messenger_{table} ADD CONSTRAINT {name} "
            f"FOREIGN KEY ({column}, tenancy_id) REFERENCES {referenced} (id, tenancy_id) "
            "DEFERRABLE INITIALLY DEFERRED",
            f"ALTER TABLE messenger_{table} DROP CONSTRAINT {name}",
        )
        for table, column, referenced, name in REFERENCES
    ]
