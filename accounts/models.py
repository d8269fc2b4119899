from typing import ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from common.addresses import stored_address


class UserManager(BaseUserManager["User"]):
    def with_address(self, email: str) -> models.QuerySet["User"]:
        """The user with this address in any spelling (`stored_address`): none or one."""
        return self.filter(email=stored_address(email))


class User(AbstractBaseUser):
    """A person who signs in. The name that others see is part of each membership (tenancy.Member)."""

    class Appearance(models.TextChoices):
        DEVICE = "device", _("Use device setting")
        LIGHT = "light", _("Light")
        DARK = "dark", _("Dark")

    email = models.EmailField(_("e-mail address"), unique=True)
    is_active = models.BooleanField(_("active"), default=True)
    language = models.CharField(
        _("date format"), max_length=10, choices=settings.LANGUAGES, default=settings.LANGUAGE_CODE
    )
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    appearance = models.CharField(_("appearance"), max_length=10, choices=Appearance.choices, default=Appearance.DEVICE)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            # With the unique constraint: no two users have the same address in different cases.
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_lower_case"),
        ]

    def __str__(self) -> str:
        return self.email


class Session(AbstractBaseSession):
    """A session with its user in a column, so that one query loads both (accounts/sessions.py)."""

    # None: not signed in, or not saved since this column was added.
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="sessions")

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        store: type[SessionBase] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
        return store


class PasswordResetRequest(models.Model):
    """A request to reset the password of an address, known or unknown; deleted once it has been processed.

    The view writes the same row in both cases and mails nothing itself, so that neither its response nor its duration
    reveals whether the address is known.
    """

    email = models.EmailField()
    requested_at = models.DateTimeField(auto_now_add=True)
    next_attempt_at = models.DateTimeField(default=timezone.now)
