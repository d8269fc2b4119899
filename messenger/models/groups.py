from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.database.folded_columns import folded_column, skeleton_column
from messenger.access import GroupMembershipQuerySet, MessengerGroupQuerySet
from tenancy.models import Member, Tenancy
from tenancy.validators import NameField


class MessengerGroup(models.Model):
    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="messenger_groups")
    name = NameField(_("Name"))
    folded_name = folded_column()
    skeleton = skeleton_column()
    description = models.TextField(_("Description"), max_length=2000, blank=True)
    folded_description = folded_column("description")
    is_active = models.BooleanField(
        _("Active"),
        default=True,
        help_text=_("While a group is inactive, no one can see its topics and no e-mails are sent."),
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # Counts the changes of the group's members. Messages and memberships store its value at their time, so that finding
    # who was a member when a message was posted does not depend on clocks.
    roster = models.PositiveIntegerField(default=0)

    objects = MessengerGroupQuerySet.as_manager()

    class Meta:
        verbose_name = _("messenger group")
        verbose_name_plural = _("messenger groups")
        constraints = [
            models.UniqueConstraint("tenancy", "skeleton", name="group_name_unique_in_tenancy"),
            models.UniqueConstraint(fields=["id", "tenancy"], name="group_id_tenancy"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("messenger_users:group", args=[self.tenancy.slug, self.pk])


class GroupMembership(models.Model):
    """The time during which a member was in a group. Rejoining creates a new row, so that history stays as it was."""

    tenancy = models.ForeignKey(Tenancy, models.PROTECT, related_name="+")
    group = models.ForeignKey(MessengerGroup, models.PROTECT, related_name="memberships", db_constraint=False)
    member = models.ForeignKey(Member, models.PROTECT, related_name="group_memberships", db_constraint=False)
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True)
    # The values of the group's roster: the first at which this membership held, and the first at which it did not.
    joined_roster = models.PositiveIntegerField(default=0)
    left_roster = models.PositiveIntegerField(null=True)

    objects = GroupMembershipQuerySet.as_manager()

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
