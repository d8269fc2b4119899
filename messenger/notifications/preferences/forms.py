from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import PageModelForm
from messenger.models import MailPreference


class MailPreferenceForm(PageModelForm):
    class Meta:
        model = MailPreference
        fields = ("own_messages", "catch_up")
        widgets = {"catch_up": forms.RadioSelect}
        help_texts = {
            "own_messages": _("Whenever one of your messages is e-mailed to the group, you get the e-mail too."),
            "catch_up": _(
                "Sent at 07:00 in your time zone if there are unread messages that were not e-mailed to you. It gives "
                "the number of messages in each topic, with links. Muted topics are left out."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["catch_up"].required = False

    def clean_catch_up(self) -> str:
        """Without a choice in the form, the stored value stays."""
        return str(self.cleaned_data["catch_up"] or self.instance.catch_up)
