from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext_lazy as _

from messenger.bodies import clean_body


class BodyField(forms.CharField):
    """Takes every text; what can't be stored is taken out or refused by clean_body, in one place."""

    widget = forms.Textarea(
        attrs={
            "rows": 2,
            "aria-describedby": "composer-audience composer-forecast composer-hint",
            "autocomplete": "off",
        }
    )

    def __init__(self) -> None:
        super().__init__(label=_("Message"), strip=False, required=False)
        # A NUL is no error in a message: it is taken out.
        self.validators = []

    def clean(self, value: Any) -> str:
        return clean_body(super().clean(value))


class MessageForm(forms.Form):
    """What a composer sends; templates/messenger/_composer.html draws it."""

    body = BodyField()
    # Tells a retry and a double click from a second message.
    client_id = forms.UUIDField()

    def renew_client_id(self) -> None:
        """Keep what was typed, under an id of its own."""
        self.data = {**self.data.dict(), "client_id": str(uuid4())}  # type: ignore[attr-defined]
