"""Changes to members and their roles, and switching Messenger on and off."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from tenancy.models import Member, Tenancy
from tenancy.signals import member_status_changes, messenger_switched_off


class LastAdministratorError(ValidationError):
    def __init__(self) -> None:
        super().__init__(
            _("This is the last active tenancy administrator. Make someone else a tenancy administrator first."),
            code="last_administrator",
        )


@transaction.atomic
def save_member(member: Member) -> None:
    """Save a member's name, roles and status.

    Raises LastAdministratorError if the tenancy would be left without an active administrator (product, reading 13).
    The lock on the tenancy prevents two administrators from removing each other at the same time.
    """
    tenancy = Tenancy.objects.select_for_update(no_key=True).get(pk=member.tenancy_id)
    before = Member.objects.get(pk=member.pk)
    stays_administrator = member.is_active and member.is_administrator
    if before.is_active and before.is_administrator and not stays_administrator:
        others = tenancy.members.administrators().exclude(pk=member.pk)
        if not others.exists():
            raise LastAdministratorError
    if before.is_active != member.is_active:
        member_status_changes.send(Member, member=member)
    if before.name != member.name:
        Tenancy.objects.filter(pk=tenancy.pk).update(names_revision=F("names_revision") + 1)
    member.save(update_fields=["name", "is_administrator", "is_messenger_manager", "is_active"])


@transaction.atomic
def set_messenger_enabled(tenancy: Tenancy, enabled: bool) -> None:
    """Switch Messenger on or off for a tenancy. Switching it off cancels mails that have not been sent yet."""
    Tenancy.objects.select_for_update(no_key=True).get(pk=tenancy.pk)
    tenancy.messenger_enabled = enabled
    tenancy.save(update_fields=["messenger_enabled"])
    if not enabled:
        messenger_switched_off.send(Tenancy, tenancy=tenancy)
