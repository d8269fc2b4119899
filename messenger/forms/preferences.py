from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from ippex_messenger.forms import PageFormMixin
from messenger.models import MailChoice


class MailChoiceForm(PageFormMixin, forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = MailChoice
        fields = ("own_messages", "catch_up")
        widgets = {"catch_up": forms.RadioSelect}
        help_texts = {
            "own_messages": _("Usually the author of a message is the one who gets no e-mail about it."),
            "catch_up": _(
                "At 7 o'clock in your time zone, if there are messages that you have not read and were not e-mailed "
                "about: how many, and where. Topics that you muted are left out."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["catch_up"].required = False

    def clean_catch_up(self) -> str:
        """Nothing chosen: as it was."""
        return str(self.cleaned_data["catch_up"] or self.instance.catch_up)
