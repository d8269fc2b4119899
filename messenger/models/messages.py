from datetime import timedelta

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import Range
from django.utils.translation import gettext_lazy as _

from messenger.access import MessageQuerySet
from messenger.models.topics import Topic
from tenancy.models import Member, Tenancy

BODY_MAX_LENGTH = 10_000


class Message(models.Model):
    """A message in a topic, and the decision whether to e-mail it, made when it was posted.

    Only messenger/messages/posting.py creates messages.
    """

    class Outcome(models.TextChoices):
        EMAIL = "email", _("e-mailed")
        NO_EMAIL = "no_email", _("not e-mailed")

    class Reason(models.TextChoices):
        """Why it is not e-mailed at all."""

        NOTIFICATIONS_OFF = "notifications_off", _("notifications off")
        INTERVAL = "interval", _("within the interval")

    # The composite key ensures that it is the topic's. A foreign key of its own would lock the tenancy with each post.
    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    topic = models.ForeignKey(Topic, models.PROTECT, related_name="messages", db_constraint=False, db_index=False)
    sequence = models.PositiveBigIntegerField()
    author = models.ForeignKey(Member, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    client_id = models.UUIDField()
    body = models.TextField()
    body_html = models.TextField()
    renderer_version = models.PositiveSmallIntegerField()
    posted_at = models.DateTimeField()
    roster = models.PositiveIntegerField()  # of the group, when the message was posted
    # The topic's revision in which this message last changed.
    revision = models.PositiveBigIntegerField()

    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    # When it was posted: the topic's interval in minutes, and the time since the previous message (null: the first).
    interval_minutes = models.PositiveIntegerField()
    elapsed = models.DurationField(null=True)
    edited_at = models.DateTimeField(null=True)  # the last time; earlier texts are in `versions`
    # A removed message has no text, but stays in the thread.
    removed_at = models.DateTimeField(null=True)
    removed_by = models.ForeignKey(
        Member, models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False
    )
    removal_reason = models.CharField(max_length=300, blank=True)
    # When its deliveries were created, and how many of them are e-mails to send; null until then.
    fanned_out_at = models.DateTimeField(null=True)
    addressees = models.PositiveIntegerField(null=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            # paging in both directions, and the order of the thread
            models.UniqueConstraint(fields=["topic", "sequence"], name="message_sequence_unique_in_topic"),
            # a double click or a retry does not create a second message
            models.UniqueConstraint(fields=["topic", "author", "client_id"], name="message_client_id_once"),
            models.UniqueConstraint(fields=["id", "tenancy"], name="message_id_tenancy"),
            models.CheckConstraint(condition=Q(sequence__gte=1), name="message_sequence_from_one"),
            models.CheckConstraint(
                condition=Q(removed_at=None) & Range(Length("body"), (1, BODY_MAX_LENGTH))
                | Q(removed_at__isnull=False, body="", body_html=""),
                name="message_body_length",
            ),
            models.CheckConstraint(
                condition=Q(removed_at=None, removed_by=None, removal_reason="")
                | Q(removed_at__isnull=False, removed_by__isnull=False),
                name="message_removed_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(outcome="email", reason="")
                | Q(outcome="no_email", reason__in=["notifications_off", "interval"]),
                name="message_outcome_has_its_reason",
            ),
            models.CheckConstraint(
                condition=Q(elapsed=None) | Q(elapsed__gte=timedelta(0)), name="message_elapsed_not_negative"
            ),
        ]
        indexes = [
            # the sweeper: messages to e-mail whose deliveries have not been created
            models.Index(
                fields=["id"], condition=Q(outcome="email", fanned_out_at=None), name="message_to_be_fanned_out"
            ),
            # open threads: what changed since a revision
            models.Index(fields=["topic", "revision"], name="message_changed_in_topic"),
            # delivery health: the last few weeks of a table in order of time
            BrinIndex(fields=["posted_at"], name="message_by_time"),
            # unread counts: others' messages that still have a text, after a position; the index has all they need
            models.Index(
                fields=["topic", "sequence"],
                include=["author"],
                condition=Q(removed_at=None),
                name="message_unread_in_topic",
            ),
            # search: scans the newest messages of a tenancy
            models.Index(fields=["tenancy", "-posted_at", "-id"], name="message_newest_of_tenancy"),
        ]

    def __str__(self) -> str:
        return f"{self.topic_id}/{self.sequence}"


class MessageVersion(models.Model):
    """The text of a message before an edit. The group can read it."""

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    message = models.ForeignKey(Message, models.CASCADE, related_name="versions", db_constraint=False)
    body = models.TextField()
    body_html = models.TextField()
    written_at = models.DateTimeField()  # when this text was posted, or replaced an earlier one
    replaced_at = models.DateTimeField()

    class Meta:
        indexes = [
            # the history of a message
            models.Index(fields=["message", "replaced_at"], name="version_of_message"),
        ]
