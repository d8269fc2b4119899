"""What a name and a slug may look like: one place, for model and form alike."""

import re
import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

NAME_MAX_LENGTH = 120

SLUG_PATTERN = "[a-z][a-z0-9-]{1,48}"
# The first words of paths that belong to no tenancy, and of those that operation may want one day.
RESERVED_SLUGS = frozenset(
    "accounts admin api assets favicon healthz invitations live media messenger metrics readyz robots "
    "static status stream unsubscribe www".split()
)

# Unicode's general categories of what can't be seen in a name: Cc control, Cf format (bidirectional
# overrides and zero-width characters among them), Cs surrogates, Co private use, Cn unassigned,
# Zl and Zp line and paragraph separators.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
# Format characters that scripts need within words: zero-width non-joiner and joiner.
_JOINERS = frozenset("\u200c\u200d")
# Letters by category that show nothing: Hangul fillers, and the blank Braille pattern.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def normalise_name(value: str) -> str:
    """NFC, without white space at the ends, and with single spaces within."""
    try:
        value = unicodedata.normalize("NFC", value)
    except UnicodeError:  # pragma: no cover  (left to the validator)
        return value
    return re.sub(r"[^\S\r\n\t\v\f\x1c-\x1f\x85\u2028\u2029]+", " ", value).strip(" ")


def validate_name(value: str) -> None:
    """Raise ValidationError for what would deceive or could not be seen: a name stands in menus and mails."""
    for character in value:
        category = unicodedata.category(character)
        if category in _FORBIDDEN_CATEGORIES or (category == "Cf" and character not in _JOINERS):
            raise ValidationError(
                _("Line breaks, control characters and invisible formatting characters are not allowed here."),
                code="invisible",
            )
    if value and not any(is_visible(character) for character in value):
        raise ValidationError(_("This needs at least one visible character."), code="blank")


def is_visible(character: str) -> bool:
    """Whether this character alone shows anything."""
    # Marks (M*) combine with a letter; alone they are no name.
    return unicodedata.category(character)[0] not in "ZCM" and character not in _BLANK_LETTERS


validate_slug = RegexValidator(
    rf"\A{SLUG_PATTERN}\Z",
    _("Use 2 to 49 lower-case letters, digits and hyphens, beginning with a letter."),
)


def validate_slug_not_reserved(value: str) -> None:
    if value in RESERVED_SLUGS:
        raise ValidationError(_("“%(slug)s” is reserved for the installation."), params={"slug": value})


class NameFormField(forms.CharField):
    def to_python(self, value: Any) -> str:
        value = super().to_python(value)
        return normalise_name(value) if isinstance(value, str) else value


class NameField(models.CharField):  # type: ignore[type-arg]
    """The name of a tenancy, a member, a group or a topic: 1 to 120 characters that can be seen."""

    default_validators = [validate_name]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", NAME_MAX_LENGTH)
        super().__init__(*args, **kwargs)

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return normalise_name(value) if isinstance(value, str) else value

    def formfield(self, **kwargs: Any) -> Any:
        # White space at the ends is taken away by normalise_name, but line breaks are errors there too.
        return super().formfield(**{"form_class": NameFormField, "strip": False, **kwargs})
