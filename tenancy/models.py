from datetime import datetime, timedelta

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.database.folded_columns import folded_column
from tenancy.validators import NameField, validate_slug, validate_slug_not_reserved

MINUTES_A_DAY = 24 * 60


class MailDetail(models.TextChoices):
    """How much an e-mail about a message reveals in its subject, headers and body."""

    MINIMAL = "minimal", _("Minimal: only that there is a new message, with a link")
    TOPIC_AND_SENDER = "topic_and_sender", _("Topic and sender: adds the topic name and the sender's name")
    FULL_TEXT = "full_text", _("Full text: adds the message itself")


class Tenancy(models.Model):
    """A client organisation."""

    slug = models.CharField(
        _("slug"), max_length=49, unique=True, validators=[validate_slug, validate_slug_not_reserved]
    )
    name = NameField(_("name"))
    messenger_enabled = models.BooleanField(
        _("enable messenger"),
        default=False,
        help_text=_(
            "Everyone in an active messenger group sees Messenger in their main menu. While it is off, no one can open "
            "it and no e-mails are sent. Messages are kept, and can be read again once you switch it back on."
        ),
    )
    mail_detail = models.CharField(
        _("What e-mails about new messages contain"),
        max_length=20,
        choices=MailDetail.choices,
        default=MailDetail.MINIMAL,
        help_text=_(
            "E-mail is less confidential than Messenger: copies stay in mailboxes, on phones and on mail servers. "
            "Changes apply to every e-mail sent from then on."
        ),
    )
    edit_minutes = models.PositiveSmallIntegerField(
        _("Editing time (minutes)"),
        default=15,
        validators=[MaxValueValidator(MINUTES_A_DAY)],
        help_text=_(
            "How long authors can edit a message after posting it. The maximum is 1,440 minutes (24 hours); 0 switches "
            "editing off. The group can still read earlier versions."
        ),
    )
    # Bumped when a member is renamed, because cached pages contain names
    # (docs/decisions/0030-cached-pages-of-messages.md).
    names_revision = models.PositiveBigIntegerField(db_default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(edit_minutes__lte=MINUTES_A_DAY), name="tenancy_edit_up_to_a_day"),
        ]
        verbose_name = _("tenancy")
        verbose_name_plural = _("tenancies")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("tenancy:menu", args=[self.slug])


class MemberQuerySet(models.QuerySet["Member"]):
    def active(self) -> "MemberQuerySet":
        """Members who can use the tenancy: neither the membership nor the user is deactivated."""
        return self.filter(is_active=True, user__is_active=True)

    def administrators(self) -> "MemberQuerySet":
        return self.active().filter(is_administrator=True)

    def by_name(self) -> "MemberQuerySet":
        return self.order_by(Lower("name"), "pk")


class Member(models.Model):
    """A user's membership in a tenancy: their name there and their roles."""

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="memberships")
    name = NameField(_("name"))
    folded_name = folded_column()
    is_administrator = models.BooleanField(
        _("Tenancy administrator"),
        default=False,
        help_text=_("Can manage settings, users and messenger groups. Can read a topic only as a member of its group."),
    )
    is_messenger_manager = models.BooleanField(
        _("Messenger manager"),
        default=False,
        help_text=_("Can create topics and edit topic settings in the messenger groups that they belong to."),
    )
    is_active = models.BooleanField(
        _("Active"), default=True, help_text=_("Inactive users can't open this tenancy and get no e-mails.")
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = MemberQuerySet.as_manager()

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            models.UniqueConstraint(fields=["tenancy", "user"], name="member_once_per_tenancy"),
            # The target of composite foreign keys, so that no row can refer to a member of another tenancy.
            models.UniqueConstraint(fields=["id", "tenancy"], name="member_id_tenancy"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def can_enter(self) -> bool:
        """The condition of `active()` for this member."""
        return self.is_active and self.user.is_active


class Invitation(models.Model):
    """An open invitation to become a member; deleted when it is accepted or withdrawn."""

    LIFETIME = timedelta(days=14)

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="invitations")
    email = models.EmailField(_("e-mail address"))
    name = NameField(_("name"))
    is_administrator = models.BooleanField(_("Tenancy administrator"), default=False)
    is_messenger_manager = models.BooleanField(_("Messenger manager"), default=False)
    invited_by = models.ForeignKey(Member, models.PROTECT, related_name="+", db_constraint=False)
    # Part of the link: sending again changes it, which invalidates the earlier link.
    requested_at = models.DateTimeField(default=timezone.now)
    emailed_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    failure = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [
            models.UniqueConstraint("tenancy", Lower("email"), name="invitation_once_per_address"),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(emailed_at=None), name="invitation_to_be_mailed"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def expires_at(self) -> datetime:
        return self.requested_at + self.LIFETIME

    @property
    def has_expired(self) -> bool:
        return timezone.now() >= self.expires_at
