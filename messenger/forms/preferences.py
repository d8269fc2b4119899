from django import forms
from django.utils.translation import gettext_lazy as _

from ippex_messenger.forms import PageFormMixin
from messenger.models import MailChoice


class MailChoiceForm(PageFormMixin, forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = MailChoice
        fields = ("own_messages",)
        help_texts = {"own_messages": _("Usually the author of a message is the one who gets no e-mail about it.")}
