from django.db import models

from messenger.models.topics import Topic
from tenancy.models import Member, Tenancy


class ReadPosition(models.Model):
    """How far a member has read a topic: one sequence number, not a row for each message. No row: nothing yet."""

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    topic = models.ForeignKey(Topic, models.PROTECT, related_name="read_positions", db_constraint=False)
    member = models.ForeignKey(Member, models.PROTECT, related_name="read_positions", db_constraint=False)
    sequence = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["member", "topic"], name="read_position_once"),
        ]
