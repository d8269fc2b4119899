from typing import Any

from allauth.account import forms as allauth_forms
from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.passwords import note_reset_request
from accounts.time_zones import is_time_zone, options
from common.addresses import clean_address, stored_address
from common.forms import PageFormMixin, PageModelForm
from common.jobs import enqueue_on_commit


class LoginForm(PageFormMixin, allauth_forms.LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("E-mail address")
        self.fields["remember"].label = _("Keep me signed in on this device")
        for name in ("login", "password"):
            self.fields[name].help_text = ""
            self.fields[name].widget.attrs.pop("placeholder", None)

    def clean_login(self) -> str:
        return stored_address(super().clean_login())


class ChangePasswordForm(PageFormMixin, allauth_forms.ChangePasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["oldpassword"].label = _("Current password")
        self.fields["password1"].label = _("New password")
        self.fields["password2"].label = _("Confirm new password")
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)


class ResetPasswordForm(PageFormMixin, allauth_forms.ResetPasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("E-mail address")
        self.fields["email"].widget.attrs.pop("placeholder", None)

    def clean_email(self) -> str:
        # allauth looks up the address here. We leave that to the task, so that the response does not depend on it.
        return clean_address(self.cleaned_data["email"])

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        note_reset_request(self.cleaned_data["email"])
        enqueue_on_commit("accounts.tasks.send_password_resets")
        return str(self.cleaned_data["email"])


class ResetPasswordKeyForm(PageFormMixin, allauth_forms.ResetPasswordKeyForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].label = _("New password")
        self.fields["password2"].label = _("Confirm new password")
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)


class TimeZoneSelect(forms.Select):
    """Renders its options once a day: Django's own widget, with a template per option, took 25 ms."""

    template_name = "accounts/widgets/time_zones.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["options"] = options(value or "")
        return context


class TimeZoneField(forms.ChoiceField):
    widget = TimeZoneSelect

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(label=kwargs.pop("label", _("Time zone")), **kwargs)

    def valid_value(self, value: str) -> bool:
        """Also accepts zones that are not offered, so that users can keep the one they have."""
        return is_time_zone(value)


class ProfileForm(PageModelForm):
    time_zone = TimeZoneField(help_text=_("Every time in Messenger and in its e-mails is shown in this zone."))

    class Meta:
        model = User
        fields = ("time_zone", "language", "appearance")
        help_texts = {"language": _("How dates and times are written in Messenger and in its e-mails.")}
