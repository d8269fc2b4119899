"""The notification interval: a number and a unit in the form, whole minutes in the database."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from messenger.models import MINUTES_A_WEEK

MINUTES_PER_UNIT = {"minutes": 1, "hours": 60, "days": 24 * 60}
UNITS = [("minutes", _("minutes")), ("hours", _("hours")), ("days", _("days"))]


class IntervalWidget(forms.MultiWidget):
    template_name = "messenger/topics/interval_widget.html"

    def __init__(self) -> None:
        number = forms.NumberInput(
            attrs={"min": 0, "step": 1, "inputmode": "numeric", "aria-label": _("Notification interval")}
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
        number = forms.IntegerField(error_messages={"invalid": _("Enter a whole number.")})
        unit = forms.ChoiceField(choices=UNITS)
        kwargs.pop("min_value", None)
        super().__init__([number, unit], **kwargs)

    def compress(self, values: list[Any]) -> int | None:
        if not values:
            return None
        number, unit = values
        if not 0 <= number * MINUTES_PER_UNIT[unit] <= MINUTES_A_WEEK:
            raise ValidationError(_("Enter an interval between 0 minutes and 7 days."), code="out_of_range")
        return int(number * MINUTES_PER_UNIT[unit])
