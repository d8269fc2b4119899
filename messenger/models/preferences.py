from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from messenger.models.topics import Topic
from tenancy.models import Member, Tenancy


class TopicMute(models.Model):
    """A member wants no e-mails about a topic, neither messages nor catch-up mails."""

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    topic = models.ForeignKey(Topic, models.PROTECT, related_name="mutes", db_constraint=False)
    member = models.ForeignKey(Member, models.PROTECT, related_name="topic_mutes", db_constraint=False)
    muted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["member", "topic"], name="mute_once"),
        ]


class MailPreference(models.Model):
    """A member's preferences for their e-mails. No row: the defaults."""

    class CatchUp(models.TextChoices):
        NEVER = "never", _("Never")
        DAILY = "daily", _("Every morning")
        WEEKDAYS = "weekdays", _("Every morning, Monday to Friday")

    member = models.OneToOneField(Member, models.CASCADE, primary_key=True, related_name="mail_preference")
    own_messages = models.BooleanField(_("E-mail me my own messages too"), default=False)
    catch_up = models.CharField(_("Catch-up e-mail"), max_length=10, choices=CatchUp.choices, default=CatchUp.NEVER)
    # When to check next whether there is anything to catch up with; null: never.
    next_catch_up_at = models.DateTimeField(null=True)
    catch_up_attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "messenger_mailchoice"
        constraints = [
            models.CheckConstraint(
                condition=Q(catch_up="never", next_catch_up_at=None)
                | (~Q(catch_up="never") & Q(next_catch_up_at__isnull=False)),
                name="mail_choice_catch_up_has_its_time",
            ),
        ]
        indexes = [
            # the sender of catch-up mails: whom to check
            models.Index(fields=["next_catch_up_at"], condition=~Q(catch_up="never"), name="mail_choice_catch_up_due"),
        ]
