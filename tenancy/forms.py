import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from crispy_forms.layout import Fieldset, Layout
from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.forms import TimeZoneField, TimeZoneSelect
from accounts.models import User
from common.addresses import clean_address
from common.forms import PageFormMixin, PageModelForm
from tenancy.models import Invitation, Member, Tenancy

if TYPE_CHECKING:
    from django.db.models import Field

ALREADY_INVITED = _(
    "This address has already been invited. To send the invitation again, open it in the list of users."
)


class FeaturesForm(PageModelForm):
    class Meta:
        model = Tenancy
        fields = ("messenger_enabled",)


class NotificationsForm(PageModelForm):
    class Meta:
        model = Tenancy
        fields = ("mail_detail",)
        widgets = {"mail_detail": forms.RadioSelect}


class MessagesForm(PageModelForm):
    class Meta:
        model = Tenancy
        fields = ("edit_minutes",)


class MemberForm(PageModelForm):
    # A fingerprint of the row as the page showed it, so that saving does not silently undo someone else's change.
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Member
        fields = ("name", "is_active", "is_messenger_manager", "is_administrator")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].help_text = _("The name that other people in this tenancy see.")
        self.initial["seen"] = self._fingerprint = _fingerprint(self.instance)
        self.helper.layout = Layout(
            "name",
            "is_active",
            Fieldset(_("Other roles"), "is_messenger_manager"),
            Fieldset(_("Administration"), "is_administrator"),
            "seen",
        )

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("seen") and data["seen"] != self._fingerprint:
            self.show_instead("seen", self._fingerprint)
            raise ValidationError(
                _("Someone else has changed this user since you opened the page. Check your changes, then save again.")
            )
        return data


def _fingerprint(member: Member) -> str:
    columns = [member.name, member.is_active, member.is_messenger_manager, member.is_administrator]
    return sha256(json.dumps(columns).encode()).hexdigest()[:16]


class InvitationForm(PageModelForm):
    class Meta:
        model = Invitation
        fields = ("name", "email", "is_messenger_manager", "is_administrator")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].help_text = _("The name that other people in this tenancy will see.")
        self.fields["email"].help_text = _(
            "The invitation is e-mailed to this address. It is valid for 14 days, and you can send it again."
        )
        for name in ("is_messenger_manager", "is_administrator"):
            self.fields[name].help_text = cast("Field[Any, Any]", Member._meta.get_field(name)).help_text
        self.helper.layout = Layout(
            "name",
            "email",
            Fieldset(_("Other roles"), "is_messenger_manager"),
            Fieldset(_("Administration"), "is_administrator"),
        )

    def clean_email(self) -> str:
        """Refuses only what this tenancy's list of users shows anyway, so nothing about other tenancies is revealed."""
        email = clean_address(self.cleaned_data["email"])
        tenancy = self.instance.tenancy
        if Member.objects.filter(tenancy=tenancy, user__email=email).exists():
            raise ValidationError(_("A user of this tenancy already has this address."), code="member")
        if Invitation.objects.filter(tenancy=tenancy, email=email).exists():
            raise ValidationError(ALREADY_INVITED, code="invited")
        return email


class NewPasswordForm(PageFormMixin, forms.Form):
    """The first password of a new user who accepts an invitation."""

    password1 = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 10 characters."),
    )
    password2 = forms.CharField(
        label=_("Confirm password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    time_zone = TimeZoneField(
        initial="UTC",
        widget=TimeZoneSelect(attrs={"data-guess-time-zone": ""}),
        help_text=_("Times are shown in this zone. You can change it later in your profile."),
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean_password1(self) -> str:
        password = str(self.cleaned_data["password1"])
        validate_password(password, User(email=self.email))
        return password

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("password1") and data.get("password2") and data["password1"] != data["password2"]:
            self.add_error("password2", _("You must type the same password each time."))
        return data
