"""Inviting people to a tenancy, and their accepting it.

Nobody learns through one tenancy that an address is known in another: inviting does the same for every
address, and only the holder of the mailed link sees whether they choose a password or sign in.
"""

import logging

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.users import create_user
from common.mail.sending import RETRY_AFTER, RefusedError, build_mail, send, send_batch
from tenancy.models import Invitation, Member

log = logging.getLogger(__name__)

_SALT = "tenancy.invitation"


def link_of(invitation: Invitation) -> str:
    """The address in the mail: signed, so that nobody makes one up; it holds which sending it belongs to."""
    key = signing.dumps([invitation.pk, invitation.requested_at.isoformat()], salt=_SALT)
    return settings.BASE_URL + reverse("invitation", args=[key])


def find_invitation(key: str) -> Invitation | None:
    """The invitation behind a link, if it can still be accepted.

    None where it was accepted, withdrawn, sent again since, or is older than 14 days.
    Raises signing.BadSignature for a key that nobody was ever mailed.
    """
    pk, requested_at = signing.loads(key, salt=_SALT)
    invitation = (
        Invitation.objects.select_related("tenancy", "invited_by").filter(pk=pk, requested_at=requested_at).first()
    )
    return None if invitation is None or invitation.has_expired else invitation


def ask_again(invitation: Invitation) -> None:
    """Have the mail sent once more, with a new link and another 14 days."""
    invitation.requested_at = invitation.next_attempt_at = timezone.now()
    invitation.emailed_at = None
    invitation.failure = ""
    invitation.save(update_fields=["requested_at", "next_attempt_at", "emailed_at", "failure"])


@transaction.atomic
def accept(invitation: Invitation, user: User) -> Member:
    """Turn an invitation into a membership of `user`; who was a member already stays what they were.

    Raises Invitation.DoesNotExist where it was accepted, withdrawn or sent again meanwhile.
    """
    invitation = _hold(invitation)
    return _become_member(invitation, user)


@transaction.atomic
def accept_as_new_user(invitation: Invitation, password: str, time_zone: str) -> Member:
    """The same for an address that no user has: the user is created with it."""
    invitation = _hold(invitation)
    return _become_member(invitation, create_user(invitation.email, password, time_zone=time_zone))


def _hold(found: Invitation) -> Invitation:
    """The invitation that a link was found to be for, if it is still that; locked, so that it is used once."""
    invitations = Invitation.objects.select_for_update(of=("self",)).select_related("tenancy")
    return invitations.get(pk=found.pk, requested_at=found.requested_at)


def _become_member(invitation: Invitation, user: User) -> Member:
    member, _created = Member.objects.get_or_create(
        tenancy=invitation.tenancy,
        user=user,
        defaults={
            "name": invitation.name,
            "is_administrator": invitation.is_administrator,
            "is_messenger_manager": invitation.is_messenger_manager,
        },
    )
    invitation.delete()
    return member


def send_due_invitations() -> None:
    """Mail every invitation that was not mailed yet; what the mail server can't take now stays due."""
    due = Invitation.objects.filter(emailed_at=None, failure="", next_attempt_at__lte=timezone.now())
    send_batch(list(due.order_by("next_attempt_at").values_list("pk", flat=True)), _send, _postpone)


def _postpone(pk: int) -> None:
    Invitation.objects.filter(pk=pk, emailed_at=None).update(next_attempt_at=timezone.now())


@transaction.atomic
def _send(pk: int, connection: BaseEmailBackend) -> None:
    invitation = (
        Invitation.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("tenancy", "invited_by")
        .filter(pk=pk, emailed_at=None, failure="")
        .first()
    )
    if invitation is None:
        return
    try:
        send(_invitation_mail(invitation), connection)
    except RefusedError as refusal:
        log.warning("invitation %s refused: permanent=%s", pk, refusal.is_permanent)
        if refusal.is_permanent:
            invitation.failure = str(refusal)[:200]
        invitation.next_attempt_at = timezone.now() + RETRY_AFTER
        invitation.save(update_fields=["failure", "next_attempt_at"])
        return
    invitation.emailed_at = timezone.now()
    invitation.save(update_fields=["emailed_at"])


def _invitation_mail(invitation: Invitation) -> EmailMultiAlternatives:
    language = settings.LANGUAGE_CODE
    with translation.override(language):
        subject = _("Invitation to %(tenancy)s on IPPEX Cloud Messenger") % {"tenancy": invitation.tenancy.name}
    return build_mail(
        "tenancy/mails/invitation",
        invitation.email,
        subject,
        {"invitation": invitation, "link": link_of(invitation)},
        language=language,
    )
