from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import PageFormMixin
from messenger.markup.markdown import clean_body


class BodyField(forms.CharField):
    """Accepts any text. `clean_body` alone removes or refuses what cannot be stored."""

    def __init__(self) -> None:
        text = forms.Textarea({"rows": 2, "autocomplete": "off"})
        super().__init__(label=_("Message"), strip=False, required=False, widget=text)
        # Django's field would refuse a NUL; `clean_body` removes it.
        self.validators = []

    def clean(self, value: Any) -> str:
        return clean_body(super().clean(value))


class EditForm(PageFormMixin, forms.Form):
    body = BodyField()


class RemovalForm(PageFormMixin, forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        help_text=_("Everyone in the group sees this in place of the message."),
    )
