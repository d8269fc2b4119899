from typing import Any

from crispy_forms.helper import FormHelper
from django import forms
from django.http import QueryDict


class PageFormMixin(forms.BaseForm):
    """For every form of the interface: crispy without its own <form>, and focus on the first field with an error.

    What is typed into a text field has the direction of its first letter, whatever the script.

    The page supplies the <form>, the error summary and the buttons (templates/_form.html).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.helper = FormHelper()
        self.helper.form_tag = False
        self.helper.disable_csrf = True
        self.helper.form_show_errors = True
        for field in self.fields.values():
            is_text = getattr(field.widget, "input_type", "") in ("text", "search")
            if is_text or isinstance(field.widget, forms.Textarea):
                field.widget.attrs.setdefault("dir", "auto")

    def full_clean(self) -> None:
        super().full_clean()
        first = next((name for name in self.fields if name in self.errors), None)
        if first:
            self.fields[first].widget.attrs["autofocus"] = True

    def show_instead(self, field: str, value: str) -> None:
        """Replace the submitted value of a field where the form is shown again."""
        data = QueryDict(mutable=True)
        data.update(self.data)
        data[field] = value
        self.data = data


class PageModelForm(PageFormMixin, forms.ModelForm):  # type: ignore[type-arg]  # generic for type checkers only
    """A form of the interface that edits one model instance."""
