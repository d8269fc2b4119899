from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import PageFormMixin
from messenger.markup.markdown import clean_body


class BodyField(forms.CharField):
    """Takes every text; what can't be stored is taken out or refused by clean_body, in one place."""

    def __init__(self) -> None:
        text = forms.Textarea({"rows": 2, "autocomplete": "off"})
        super().__init__(label=_("Message"), strip=False, required=False, widget=text)
        # A NUL is no error in a message: it is taken out.
        self.validators = []

    def clean(self, value: Any) -> str:
        return clean_body(super().clean(value))


class EditForm(PageFormMixin, forms.Form):
    body = BodyField()


class RemovalForm(PageFormMixin, forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        help_text=_("Stands in the place of the message, for everyone in the group."),
    )
