from django.db import models

from messenger.models.topics import Topic
from tenancy.models import Member, Tenancy


class Mention(models.Model):
    """A message mentions a member who could read the topic at the time. `topic` and `sequence` identify the message."""

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    topic = models.ForeignKey(Topic, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    sequence = models.PositiveBigIntegerField()
    member = models.ForeignKey(Member, models.PROTECT, related_name="+", db_constraint=False, db_index=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["topic", "sequence", "member"], name="mention_once"),
        ]
        indexes = [
            # the topic list: whether a member is mentioned in unread messages
            models.Index(fields=["member", "topic", "sequence"], name="mention_of_member"),
        ]
