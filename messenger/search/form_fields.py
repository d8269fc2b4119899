from typing import NamedTuple

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe


class Choice(NamedTuple):
    pk: int
    name: str


class FieldValues(NamedTuple):
    """A field as the page shows it: nothing but values, so that what is made of them can be kept.

    Put together like this in a sixth of the time that crispy-forms takes: search is asked again and again.
    """

    name: str
    kind: str  # search, text, date, or select
    label: str
    value: str
    choices: tuple[Choice, ...] = ()  # of a select, beside `every`
    every: str = ""
    placeholder: str = ""
    max_length: int = 0
    help: str = ""
    errors: tuple[str, ...] = ()
    takes_focus: bool = False

    @property
    def options(self) -> SafeString:
        options = [f'<option value="">{escape(self.every)}</option>']
        for pk, name in self.choices:
            selected = " selected" if str(pk) == self.value else ""
            options.append(f'<option value="{pk}"{selected}>{escape(name)}</option>')
        return mark_safe("\n".join(options))  # noqa: S308  (names are escaped, ids are numbers)

    @property
    def states(self) -> SafeString:
        """The attributes that say what is wrong with it, and where its help stands."""
        texts = (("error", self.errors), ("helptext", self.help))
        described_by = " ".join(f"id_{self.name}_{text}" for text, is_there in texts if is_there)
        return mark_safe(  # noqa: S308  (names of ours)
            f' aria-describedby="{described_by}"' * bool(described_by)
            + ' aria-invalid="true"' * bool(self.errors)
            + " autofocus" * self.takes_focus
        )
