import re
from typing import Any, cast

from crispy_forms.layout import HTML, Field, Fieldset, Layout
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from common.addresses import readable_address, stored_address
from common.folding import skeleton
from common.forms import PageModelForm
from messenger.models import GroupMembership, MessengerGroup
from tenancy.models import Member, Tenancy

NAME_TAKEN = _("This tenancy already has a messenger group with this name. Choose another name.")


class MemberPicker(forms.CheckboxSelectMultiple):
    """A searchable list of check boxes with a count of those ticked."""

    template_name = "messenger/groups/member_picker_widget.html"


class MembersField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    widget = MemberPicker

    def label_from_instance(self, member: Any) -> str:
        label = f"{member.name} · {readable_address(member.user.email)}"
        return label if member.can_enter else _("%(label)s (inactive)") % {"label": label}


class GroupForm(PageModelForm):
    users = MembersField(queryset=Member.objects.none(), required=False, label=_("Users"))
    addresses = forms.CharField(
        required=False,
        label=_("Add by pasting addresses"),
        help_text=_("E-mail addresses of active users of this tenancy, separated by spaces, commas or line breaks."),
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
    )

    # The roster number when the page was rendered: changes made by others since then must not be undone unnoticed.
    roster = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = MessengerGroup
        fields = ("name", "description", "is_active")
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, *args: Any, tenancy: Tenancy, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenancy = tenancy
        present = GroupMembership.objects.open().filter(group=self.instance.pk).values("member")
        # Current members stay selectable even if they are inactive: saving must not drop them unnoticed.
        self.selectable = (
            Member.objects.filter(tenancy=tenancy)
            .filter(Q(is_active=True, user__is_active=True) | Q(pk__in=present))
            .select_related("user")
            .by_name()
        )
        cast("MembersField", self.fields["users"]).queryset = self.selectable
        if self.instance.pk:
            self.initial["users"] = [row["member"] for row in present]
            self.initial["roster"] = self.instance.roster
        self.helper.layout = Layout(
            "name",
            "description",
            "is_active",
            Fieldset(
                _("Users"),
                HTML("{% include 'messenger/groups/_everyone_sees.html' %}"),
                Field("users", template="messenger/groups/_picker_field.html"),
                "addresses",
            ),
            "roster",
        )

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        namesakes = MessengerGroup.objects.filter(tenancy=self.tenancy, skeleton=skeleton(name))
        if "name" in self.changed_data and namesakes.exclude(pk=self.instance.pk).exists():
            raise ValidationError(NAME_TAKEN, code="unique")
        return name

    def clean_addresses(self) -> list[Member]:
        entries = [entry.strip() for entry in re.split(r"[,;\n]+", self.cleaned_data["addresses"]) if entry.strip()]
        wanted = {stored_address(word) for entry in entries for word in re.split(r"[\s<>]+", entry) if "@" in word}
        found = list(self.selectable.filter(user__email__in=wanted))
        unknown = sorted(wanted - {member.user.email for member in found})
        unknown += [entry for entry in entries if "@" not in entry]
        if unknown:
            raise ValidationError(
                _(
                    "No active user of this tenancy has this address: %(addresses)s. "
                    "Check it, or invite the person first."
                ),
                params={"addresses": ", ".join(map(readable_address, unknown[:20]))},
            )
        return found

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        page_roster = data.get("roster")
        if self.instance.pk and page_roster is not None and page_roster < self.instance.roster:
            self._add_conflict_error(page_roster)
        return data

    def _add_conflict_error(self, since: int) -> None:
        """List who joined and left since this roster number; the form can then be submitted again."""
        memberships = GroupMembership.objects.filter(group=self.instance).select_related("member")
        names = {
            "joined": ", ".join(row.member.name for row in memberships.open().filter(joined_roster__gt=since)) or "–",
            "left": ", ".join(row.member.name for row in memberships.filter(left_roster__gt=since)) or "–",
        }
        self.add_error(
            "users",
            _(
                "Someone else has changed the users since you opened the page (added: %(joined)s; removed: %(left)s). "
                "Check your selection below, then save again."
            )
            % names,
        )
        self.show_instead("roster", str(self.instance.roster))

    def selected_members(self) -> list[Member]:
        """Ticked or pasted, without duplicates."""
        return list({*self.cleaned_data["users"], *self.cleaned_data["addresses"]})
