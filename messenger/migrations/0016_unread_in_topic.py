"""The index from which unread messages are counted, made while posts go on."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("messenger", "0015_labels_in_plain_words")]
    operations = [
        AddIndexConcurrently(
            model_name="message",
            index=models.Index(
                condition=models.Q(("removed_at", None)),
                fields=["topic", "sequence"],
                include=("author",),
                name="message_unread_in_topic",
            ),
        ),
    ]
