from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from messenger.models.messages import Message
from messenger.models.topics import Topic
from tenancy.models import Member, Tenancy


class Delivery(models.Model):
    """One message's e-mail to one member: the sender's queue, and the record of what happened to it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        SENT = "sent", _("sent")
        NOT_SENT = "not_sent", _("not sent")
        FAILED = "failed", _("failed")

    class Reason(models.TextChoices):
        """Why no e-mail was sent to this member."""

        AUTHOR = "author", _("wrote it")
        MUTED = "muted", _("muted the topic")
        REMOVED = "removed", _("message removed")
        LEFT = "left", _("left the group")
        MEMBER_INACTIVE = "member_inactive", _("inactive user")
        TOPIC_INACTIVE = "topic_inactive", _("topic made inactive")
        GROUP_INACTIVE = "group_inactive", _("group made inactive")
        MESSENGER_OFF = "messenger_off", _("Messenger switched off")
        LOST_ACCESS = "lost_access", _("could not read the topic any more")
        UNUSABLE_ADDRESS = "unusable_address", _("unusable address")
        REFUSED = "refused", _("refused by the mail server")
        GAVE_UP = "gave_up", _("put off by the mail server for a day")

    # An attempt failed. With every other reason there was no attempt.
    FAILURES = (Reason.UNUSABLE_ADDRESS, Reason.REFUSED, Reason.GAVE_UP)

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    message = models.ForeignKey(Message, models.PROTECT, related_name="deliveries", db_constraint=False)
    member = models.ForeignKey(Member, models.PROTECT, related_name="+", db_constraint=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    reason = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # Null: no e-mail to this member was due when the message was posted.
    next_attempt_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=200, blank=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(fields=["message", "member"], name="delivery_once_per_member"),
            models.CheckConstraint(
                condition=Q(state="waiting", settled_at=None, next_attempt_at__isnull=False)
                | (~Q(state="waiting") & Q(settled_at__isnull=False)),
                name="delivery_settled_when_not_waiting",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "sent"], reason="")
                | (Q(state="not_sent") & ~Q(reason__in=["", "unusable_address", "refused", "gave_up"]))
                | Q(state="failed", reason__in=["unusable_address", "refused", "gave_up"]),
                name="delivery_state_has_its_reason",
            ),
        ]
        indexes = [
            # the sender: deliveries that are due, oldest first
            models.Index(fields=["next_attempt_at"], condition=Q(state="waiting"), name="delivery_due"),
            # cancellation: what is still waiting for one member
            models.Index(fields=["member"], condition=Q(state="waiting"), name="delivery_waiting_for_member"),
            # messages of a thread: e-mails that were due and have not been sent
            models.Index(
                fields=["message"],
                condition=Q(next_attempt_at__isnull=False) & ~Q(state="sent"),
                name="delivery_due_and_not_sent",
            ),
            # delivery health: the last few weeks of a table in order of time
            BrinIndex(fields=["settled_at"], name="delivery_by_time"),
        ]


class CatchUp(models.Model):
    """A catch-up mail and what happened to it; `topics` holds the messages that it counted."""

    class State(models.TextChoices):
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    member = models.ForeignKey(Member, models.PROTECT, related_name="+", db_constraint=False)
    day = models.DateField()  # in the member's time zone
    state = models.CharField(max_length=10, choices=State.choices)
    last_error = models.CharField(max_length=200, blank=True)
    settled_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["member", "day"], name="catch_up_once_a_day"),
            models.UniqueConstraint(fields=["id", "tenancy"], name="catch_up_id_tenancy"),
        ]


class CatchUpTopic(models.Model):
    """The messages of one topic that a catch-up mail counted: a range of sequence numbers."""

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    catch_up = models.ForeignKey(CatchUp, models.PROTECT, related_name="topics", db_constraint=False)
    topic = models.ForeignKey(Topic, models.PROTECT, related_name="+", db_constraint=False)
    after_sequence = models.PositiveBigIntegerField()
    up_to_sequence = models.PositiveBigIntegerField()  # inclusive
    messages = models.PositiveIntegerField()

    class Meta:
        constraints = [
            # the record of a message: the catch-up mails that counted it
            models.UniqueConstraint(fields=["topic", "catch_up"], name="catch_up_topic_once"),
        ]
