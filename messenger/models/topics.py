from datetime import timedelta

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.database.folded_columns import folded_column, skeleton_column
from messenger.access import TopicQuerySet
from messenger.models.groups import GroupMembership, MessengerGroup
from tenancy.models import Member, MemberQuerySet, Tenancy
from tenancy.validators import NameField

MINUTES_A_WEEK = 7 * 24 * 60
DEFAULT_INTERVAL_MINUTES = 30


class Topic(models.Model):
    # No separate index for foreign keys that other indexes begin with: each post writes to every index.
    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+", db_index=False)
    group = models.ForeignKey(
        MessengerGroup,
        models.PROTECT,
        related_name="topics",
        db_constraint=False,
        db_index=False,
        verbose_name=_("Messenger group"),
    )
    name = NameField(
        _("Topic name"), help_text=_("Describe what the topic is about, for example “Payments processing”.")
    )
    folded_name = folded_column()
    skeleton = skeleton_column()
    notifications_enabled = models.BooleanField(_("Enable message notifications"), default=True)
    notification_interval = models.PositiveIntegerField(
        _("Notification interval"),
        default=DEFAULT_INTERVAL_MINUTES,
        validators=[MaxValueValidator(MINUTES_A_WEEK)],
        help_text=_("In minutes."),
    )
    is_active = models.BooleanField(
        _("Active"),
        default=True,
        help_text=_(
            "No one can read an inactive topic or post in it. Messenger managers in its group can make it active again."
        ),
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # When the last message was posted, or, without messages, when the topic was created.
    last_activity_at = models.DateTimeField(db_default=Now())
    last_sequence = models.PositiveBigIntegerField(default=0)
    # Raised under the same lock with each change in the thread, so that an open page can request what it missed.
    revision = models.PositiveBigIntegerField(default=0)
    # Raised when the next message's recipients may have changed (notifications/recipients.py), not by each message.
    audience_revision = models.PositiveBigIntegerField(default=0, db_default=0)

    objects = TopicQuerySet.as_manager()

    class Meta:
        verbose_name = _("topic")
        verbose_name_plural = _("topics")
        constraints = [
            models.UniqueConstraint("group", "skeleton", name="topic_name_unique_in_group"),
            models.UniqueConstraint(fields=["id", "tenancy"], name="topic_id_tenancy"),
            models.CheckConstraint(
                condition=Q(notification_interval__lte=MINUTES_A_WEEK), name="topic_interval_up_to_a_week"
            ),
        ]
        indexes = [
            # the topic list, latest first: of one group, and of all groups of a member
            models.Index(fields=["group", "-last_activity_at"], name="topic_latest_of_group"),
            models.Index(
                fields=["tenancy", "-last_activity_at", "-id"],
                condition=Q(is_active=True),
                name="topic_latest_of_tenancy",
            ),
            # the number of inactive topics, which are few among many
            models.Index(fields=["group"], condition=Q(is_active=False), name="topic_inactive_of_group"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("messenger:thread", args=[self.tenancy.slug, self.pk])

    @property
    def interval(self) -> timedelta:
        return timedelta(minutes=self.notification_interval)

    def readers(self) -> MemberQuerySet:
        """The members who may read this topic now: exactly those for whom `visible_to` finds it."""
        return Member.objects.filter(pk__in=GroupMembership.objects.letting_into(self.pk).values("member"))
