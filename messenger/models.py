"""Rows of Messenger. Whatever belongs to a tenancy carries it, and composite foreign keys (migration 0002)
keep every reference within it; `db_constraint=False` marks the plain keys that these replace."""

from datetime import timedelta
from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length, Lower, Now
from django.db.models.lookups import Range
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from messenger import querysets
from messenger.querysets import (
    GroupMembershipQuerySet,
    MessageQuerySet,
    MessengerGroupQuerySet,
    TopicQuerySet,
)
from tenancy.models import Member, MemberQuerySet, Tenancy
from tenancy.validators import NameField

MINUTES_A_WEEK = 7 * 24 * 60
DEFAULT_INTERVAL_MINUTES = 30
BODY_MAX_LENGTH = 10_000


class MessengerGroup(models.Model):
    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="messenger_groups")
    name = NameField(_("Name"))
    description = models.TextField(_("Description"), max_length=2000, blank=True)
    is_active = models.BooleanField(
        _("Active"),
        default=True,
        help_text=_("While a group is inactive, nobody sees its topics and nothing is e-mailed."),
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # Counts the changes of who is in the group. Messages and memberships keep the number of their time, so
    # that "who was a member when it was posted" is no question of clocks.
    roster = models.PositiveIntegerField(default=0)

    objects: ClassVar[MessengerGroupQuerySet] = MessengerGroupQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("messenger group")
        verbose_name_plural = _("messenger groups")
        constraints = [
            models.UniqueConstraint("tenancy", Lower("name"), name="group_name_unique_in_tenancy"),
            models.UniqueConstraint(fields=["id", "tenancy"], name="group_id_tenancy"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("messenger_users:group", args=[self.tenancy.slug, self.pk])


class GroupMembership(models.Model):
    """From when to when somebody was in a group. Coming back is a new row: the past keeps its answers."""

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    group = models.ForeignKey(MessengerGroup, models.PROTECT, related_name="memberships", db_constraint=False)
    member = models.ForeignKey(Member, models.PROTECT, related_name="group_memberships", db_constraint=False)
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True)
    # The group's roster from which on, and before which, this membership holds.
    joined_roster = models.PositiveIntegerField(default=0)
    left_roster = models.PositiveIntegerField(null=True)

    objects: ClassVar[GroupMembershipQuerySet] = GroupMembershipQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "member"], condition=Q(left_at=None), name="membership_open_once"),
            models.CheckConstraint(
                condition=Q(left_at=None, left_roster=None)
                | Q(
                    left_at__gte=models.F("joined_at"),
                    left_roster__isnull=False,
                    left_roster__gt=models.F("joined_roster"),
                ),
                name="membership_ends_after_start",
            ),
        ]
        indexes = [
            # visible_to: the open memberships of one member
            models.Index(fields=["member", "group"], condition=Q(left_at=None), name="membership_open_of_member"),
        ]


class Topic(models.Model):
    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    group = models.ForeignKey(
        MessengerGroup, models.PROTECT, related_name="topics", db_constraint=False, verbose_name=_("Messenger group")
    )
    name = NameField(_("Topic name"), help_text=_("Describes the dialogue, for example “Payments processing”."))
    notifications_enabled = models.BooleanField(_("Enable message notifications"), default=True)
    notification_interval = models.PositiveIntegerField(
        _("Notification interval"),
        default=DEFAULT_INTERVAL_MINUTES,
        validators=[MaxValueValidator(MINUTES_A_WEEK)],
        help_text=_("In minutes."),
    )
    is_active = models.BooleanField(
        _("Active"), default=True, help_text=_("Nobody sees an inactive topic or takes part in its dialogue.")
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # When the last message was posted; until there is one, when the topic was created.
    last_activity_at = models.DateTimeField(db_default=Now())
    last_sequence = models.PositiveBigIntegerField(default=0)
    # Grows under the same lock at each change of the dialogue: what a reader who was away asks for.
    revision = models.PositiveBigIntegerField(default=0)

    objects: ClassVar[TopicQuerySet] = TopicQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("topic")
        verbose_name_plural = _("topics")
        constraints = [
            models.UniqueConstraint("group", Lower("name"), name="topic_name_unique_in_group"),
            models.UniqueConstraint(fields=["id", "tenancy"], name="topic_id_tenancy"),
            models.CheckConstraint(
                condition=Q(notification_interval__lte=MINUTES_A_WEEK), name="topic_interval_up_to_a_week"
            ),
        ]
        indexes = [
            # the topic list, latest first
            models.Index(fields=["group", "-last_activity_at"], name="topic_latest_of_group"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("messenger:thread", args=[self.tenancy.slug, self.pk])

    @property
    def interval(self) -> timedelta:
        return timedelta(minutes=self.notification_interval)

    def readers(self) -> MemberQuerySet:
        """Who reads this topic now."""
        return querysets.readers(self)


class Message(models.Model):
    """What somebody said in a topic, and what was decided about e-mailing it when they did.

    Written by messenger/posting.py alone.
    """

    class Outcome(models.TextChoices):
        EMAIL = "email", _("e-mailed")
        NO_EMAIL = "no_email", _("not e-mailed")

    class Reason(models.TextChoices):
        """Why it is not e-mailed to anybody."""

        NOTIFICATIONS_OFF = "notifications_off", _("notifications off")
        INTERVAL = "interval", _("within the interval")

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    topic = models.ForeignKey(Topic, models.PROTECT, related_name="messages", db_constraint=False)
    sequence = models.PositiveBigIntegerField()
    author = models.ForeignKey(Member, models.PROTECT, related_name="+", db_constraint=False)
    client_id = models.UUIDField()
    body = models.TextField()
    body_html = models.TextField()
    renderer_version = models.PositiveSmallIntegerField()
    posted_at = models.DateTimeField()
    roster = models.PositiveIntegerField()  # the group's, when it was posted
    # The topic's revision in which this message last changed.
    revision = models.PositiveBigIntegerField()

    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    # As they were when it was posted: minutes, and the time since the previous message (none: the first).
    interval_minutes = models.PositiveIntegerField()
    elapsed = models.DurationField(null=True)
    # When its deliveries were written, and how many of them are mails to be sent; null while they are still to be.
    fanned_out_at = models.DateTimeField(null=True)
    addressees = models.PositiveIntegerField(null=True)

    objects: ClassVar[MessageQuerySet] = MessageQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            # paging in both directions, and the order of the thread
            models.UniqueConstraint(fields=["topic", "sequence"], name="message_sequence_unique_in_topic"),
            # a double click and a retry are one message
            models.UniqueConstraint(fields=["topic", "author", "client_id"], name="message_client_id_once"),
            models.UniqueConstraint(fields=["id", "tenancy"], name="message_id_tenancy"),
            models.CheckConstraint(condition=Q(sequence__gte=1), name="message_sequence_from_one"),
            models.CheckConstraint(condition=Range(Length("body"), (1, BODY_MAX_LENGTH)), name="message_body_length"),
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
            # the sweeper: decisions to e-mail whose deliveries are still to be written
            models.Index(
                fields=["id"], condition=Q(outcome="email", fanned_out_at=None), name="message_to_be_fanned_out"
            ),
            # delivery health: the last weeks, of a table that grows by time
            BrinIndex(fields=["posted_at"], name="message_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.topic_id}/{self.sequence}"


class Delivery(models.Model):
    """One message's mail to one member: what the sender works off, and the record of what became of it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        SENT = "sent", _("sent")
        NOT_SENT = "not_sent", _("not sent")
        FAILED = "failed", _("failed")

    class Reason(models.TextChoices):
        """Why nothing was sent to this member."""

        AUTHOR = "author", _("wrote it")
        MUTED = "muted", _("muted the topic")
        LEFT = "left", _("left the group")
        MEMBER_INACTIVE = "member_inactive", _("inactive user")
        TOPIC_INACTIVE = "topic_inactive", _("topic made inactive")
        GROUP_INACTIVE = "group_inactive", _("group made inactive")
        MESSENGER_OFF = "messenger_off", _("Messenger switched off")
        LOST_ACCESS = "lost_access", _("could not read the topic any more")
        UNUSABLE_ADDRESS = "unusable_address", _("unusable address")
        REFUSED = "refused", _("refused by the mail server")
        GAVE_UP = "gave_up", _("put off by the mail server for a day")

    # A mail that failed; every other reason is one for which none was tried.
    FAILURES = (Reason.UNUSABLE_ADDRESS, Reason.REFUSED, Reason.GAVE_UP)

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    message = models.ForeignKey(Message, models.PROTECT, related_name="deliveries", db_constraint=False)
    member = models.ForeignKey(Member, models.PROTECT, related_name="+", db_constraint=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    reason = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # Null: no mail to this member was due when the message was posted.
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
            # the sender: rows due, oldest first
            models.Index(fields=["next_attempt_at"], condition=Q(state="waiting"), name="delivery_due"),
            # withdrawals: what still waits for one member
            models.Index(fields=["member"], condition=Q(state="waiting"), name="delivery_waiting_for_member"),
            # a thread's rows: what is missing to "e-mailed to everybody"
            models.Index(
                fields=["message"],
                condition=Q(next_attempt_at__isnull=False) & ~Q(state="sent"),
                name="delivery_due_and_not_sent",
            ),
            # delivery health: the last weeks, of a table that grows by time
            BrinIndex(fields=["settled_at"], name="delivery_by_time"),
        ]


class TopicMute(models.Model):
    """A member wants no e-mails about a topic, catch-up mails included."""

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    topic = models.ForeignKey(Topic, models.PROTECT, related_name="mutes", db_constraint=False)
    member = models.ForeignKey(Member, models.PROTECT, related_name="topic_mutes", db_constraint=False)
    muted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["member", "topic"], name="mute_once"),
        ]


class ReadPosition(models.Model):
    """How far a member has read a topic: a sequence number, no row for each message. No row: nothing yet."""

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    topic = models.ForeignKey(Topic, models.PROTECT, related_name="+", db_constraint=False)
    member = models.ForeignKey(Member, models.PROTECT, related_name="read_positions", db_constraint=False)
    sequence = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["member", "topic"], name="read_position_once"),
        ]


class MailChoice(models.Model):
    """What a member chose about their own e-mails; no row: nothing was changed from the usual."""

    class CatchUp(models.TextChoices):
        NEVER = "never", _("Never")
        DAILY = "daily", _("Every morning")
        WEEKDAYS = "weekdays", _("Monday to Friday, in the morning")

    member = models.OneToOneField(Member, models.CASCADE, primary_key=True, related_name="mail_choice")
    own_messages = models.BooleanField(_("E-mail me my own messages too"), default=False)
    catch_up = models.CharField(_("Catch-up e-mail"), max_length=10, choices=CatchUp.choices, default=CatchUp.NEVER)
    # When it is looked at next whether there is anything to catch up with; null: never.
    next_catch_up_at = models.DateTimeField(null=True)
    catch_up_attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(catch_up="never", next_catch_up_at=None)
                | (~Q(catch_up="never") & Q(next_catch_up_at__isnull=False)),
                name="mail_choice_catch_up_has_its_time",
            ),
        ]
        indexes = [
            # the sender of catch-up mails: who is to be looked at
            models.Index(fields=["next_catch_up_at"], condition=~Q(catch_up="never"), name="mail_choice_catch_up_due"),
        ]


class CatchUp(models.Model):
    """A catch-up mail: what was counted in it, and what became of it."""

    class State(models.TextChoices):
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    member = models.ForeignKey(Member, models.PROTECT, related_name="+", db_constraint=False)
    day = models.DateField()  # the member's, by their time zone
    state = models.CharField(max_length=10, choices=State.choices)
    last_error = models.CharField(max_length=200, blank=True)
    settled_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["member", "day"], name="catch_up_once_a_day"),
            models.UniqueConstraint(fields=["id", "tenancy"], name="catch_up_id_tenancy"),
        ]


class CatchUpTopic(models.Model):
    """The messages of one topic that a catch-up mail counted: those after one sequence number up to another."""

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    catch_up = models.ForeignKey(CatchUp, models.PROTECT, related_name="topics", db_constraint=False)
    topic = models.ForeignKey(Topic, models.PROTECT, related_name="+", db_constraint=False)
    after_sequence = models.PositiveBigIntegerField()
    up_to_sequence = models.PositiveBigIntegerField()
    messages = models.PositiveIntegerField()

    class Meta:
        constraints = [
            # the record of a message: the catch-up mails that counted it
            models.UniqueConstraint(fields=["topic", "catch_up"], name="catch_up_topic_once"),
        ]
