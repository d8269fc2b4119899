"""The notification interval: a number and a unit in the form, whole minutes in the database."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from messenger.models import MINUTES_A_WEEK

MINUTES_PER_UNIT = {"minutes": 1, "hours": 60, "days": 24 * 60}
UNITS = [("minutes", _("minutes")), ("hours", _("hours")), ("days", _("days"))]


# A comma or point before exactly three digits may separate thousands, unless it follows a zero.
_NUMBER = re.compile(r"[+-]?(?!0*[1-9]\d*[.,]\d{3}\Z)\d{1,40}(?:[.,]\d{1,40})?")


class NumberField(forms.CharField):
    """A number as people type it: 90, 1.5 or 1,5."""

    default_error_messages = {"invalid": _("Enter a number, for example 90 or 1.5.")}

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if text and not _NUMBER.fullmatch(text):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return Decimal(text.replace(",", ".")) if text else None


class IntervalWidget(forms.MultiWidget):
    template_name = "messenger/topics/interval_widget.html"

    def __init__(self) -> None:
        # No field of type "number": English browsers would drop the comma of "1,5" and send 15.
        number = forms.TextInput(
            attrs={
                "inputmode": "decimal",
                "dir": "auto",
                "autocomplete": "off",
                "aria-label": _("Notification interval"),
            }
        )
        unit = forms.Select(
            choices=UNITS, attrs={"class": "form-select", "aria-label": _("Unit of the notification interval")}
        )
        super().__init__([number, unit])

    def decompress(self, value: int | None) -> list[Any]:
        """Split minutes into a number and the largest unit that divides them evenly."""
        if value is None:
            return [None, "minutes"]
        unit = next((unit for unit in ("days", "hours") if value and value % MINUTES_PER_UNIT[unit] == 0), "minutes")
        return [value // MINUTES_PER_UNIT[unit], unit]

    def id_for_label(self, id_: str) -> str:
        return f"{id_}_0"


class IntervalField(forms.MultiValueField):
    """An interval in minutes, from 0 (every message is e-mailed) to 7 days."""

    widget = IntervalWidget

    def __init__(self, **kwargs: Any) -> None:
        number = NumberField()
        unit = forms.ChoiceField(choices=UNITS)
        kwargs.pop("min_value", None)
        super().__init__([number, unit], **kwargs)

    def compress(self, values: list[Any]) -> int | None:
        if not values:
            return None
        number, unit = values
        if number is None:  # nothing but blanks
            raise ValidationError(self.error_messages["required"], code="required")
        minutes = number * MINUTES_PER_UNIT[unit]
        if not 0 <= minutes <= MINUTES_A_WEEK:
            raise ValidationError(_("Enter an interval between 0 minutes and 7 days."), code="out_of_range")
        if minutes != int(minutes):
            raise ValidationError(_("Enter an interval of whole minutes."), code="fraction")
        return int(minutes)
