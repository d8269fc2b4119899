"""Invitations to a tenancy: sending and accepting them.

A tenancy can't find out whether an address is known in another one: every address is invited in the same way, and only
the holder of the mailed link sees whether to choose a password or to sign in.
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
    """The URL in the mail. It is signed and contains `requested_at`, so sending again invalidates earlier links."""
    key = signing.dumps([invitation.pk, invitation.requested_at.isoformat()], salt=_SALT)
    return settings.BASE_URL + reverse("invitation", args=[key])


def find_invitation(key: str) -> Invitation | None:
    """The invitation behind the key of a link, if it can still be accepted.

    None if it has been accepted, withdrawn or sent again, or is 14 days old. Raises signing.BadSignature for a forged
    key.
    """
    pk, requested_at = signing.loads(key, salt=_SALT)
    invitation = (
        Invitation.objects.select_related("tenancy", "invited_by").filter(pk=pk, requested_at=requested_at).first()
    )
    return None if invitation is None or invitation.has_expired else invitation


def renew(invitation: Invitation) -> None:
    """Make the mail due again, with a new link that is valid for another 14 days."""
    invitation.requested_at = invitation.next_attempt_at = timezone.now()
    invitation.emailed_at = None
    invitation.failure = ""
    invitation.save(update_fields=["requested_at", "next_attempt_at", "emailed_at", "failure"])


@transaction.atomic
def accept(invitation: Invitation, user: User) -> Member:
    """Turn an invitation into a membership of `user`; an existing membership is returned unchanged.

    Raises Invitation.DoesNotExist if it has been accepted, withdrawn or sent again in the meantime.
    """
    invitation = _lock(invitation)
    return _become_member(invitation, user)


@transaction.atomic
def accept_as_new_user(invitation: Invitation, password: str, time_zone: str) -> Member:
    """The same for an address without a user: creates one. Also raises ValidationError for an invalid password."""
    invitation = _lock(invitation)
    return _become_member(invitation, create_user(invitation.email, password, time_zone=time_zone))


def _lock(invitation: Invitation) -> Invitation:
    """The row, locked so that it is used only once; raises DoesNotExist if it is gone or was sent again."""
    invitations = Invitation.objects.select_for_update(of=("self",)).select_related("tenancy")
    return invitations.get(pk=invitation.pk, requested_at=invitation.requested_at)


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
    """Mail all due invitations. Those that the mail server can't accept now stay due."""
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
