"""Password resets: the view records a request, a task mails the link."""

import logging
from datetime import timedelta

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import PasswordResetRequest, User
from common.addresses import stored_address
from common.mail.sending import RETRY_AFTER, RefusedError, build_mail, send, send_batch

log = logging.getLogger(__name__)

# After a day the user has requested another link or given up.
REQUEST_LIFETIME = timedelta(days=1)


def note_reset_request(email: str) -> PasswordResetRequest:
    """Record a request to reset a password. The work is the same for known and unknown addresses."""
    return PasswordResetRequest.objects.create(email=stored_address(email))


def send_resets() -> None:
    """Mail a link to each requested address of an active user, and delete the requests.

    Requests older than a day are deleted unanswered. A request stays for a later attempt if the mail server is
    unavailable or refuses the mail temporarily.
    """
    PasswordResetRequest.objects.filter(requested_at__lt=timezone.now() - REQUEST_LIFETIME).delete()
    due = PasswordResetRequest.objects.filter(next_attempt_at__lte=timezone.now())
    send_batch(list(due.order_by("next_attempt_at").values_list("pk", flat=True)), _process, _postpone)


def _postpone(pk: int) -> None:
    PasswordResetRequest.objects.filter(pk=pk).update(next_attempt_at=timezone.now())


@transaction.atomic
def _process(pk: int, connection: BaseEmailBackend) -> None:
    request = PasswordResetRequest.objects.select_for_update(skip_locked=True).filter(pk=pk).first()
    if request is None:
        return
    user = User.objects.with_address(request.email).filter(is_active=True).first()
    if user:
        try:
            send(_reset_mail(user), connection)
        except RefusedError as refusal:
            log.warning("password reset for user %s refused: permanent=%s", user.pk, refusal.is_permanent)
            if not refusal.is_permanent:
                request.next_attempt_at = timezone.now() + RETRY_AFTER
                request.save(update_fields=["next_attempt_at"])
                return
    request.delete()


def _reset_mail(user: User) -> EmailMultiAlternatives:
    path = reverse(
        "account_reset_password_from_key",
        kwargs={"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)},
    )
    with translation.override(user.language):
        subject = _("Choose a new password for Messenger")
    return build_mail(
        "accounts/mails/reset_password",
        user.email,
        subject,
        {"link": settings.BASE_URL + path},
        language=user.language,
        time_zone=user.time_zone,
    )
