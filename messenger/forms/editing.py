from django import forms
from django.utils.translation import gettext_lazy as _

from ippex_messenger.forms import PageFormMixin
from messenger.forms.messages import BodyField


class EditForm(PageFormMixin, forms.Form):
    body = BodyField()


class RemovalForm(PageFormMixin, forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        help_text=_("Stands in the place of the message, for everyone in the group."),
    )
