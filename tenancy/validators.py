"""Validation of names and slugs, shared by models and forms."""

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
# First parts of paths that belong to no tenancy, and some that operators may need one day.
RESERVED_SLUGS = frozenset(
    "accounts admin api assets favicon healthz invitations live media messenger metrics readyz robots "
    "static status stream unsubscribe www".split()
)

# Unicode categories of characters that are invisible in a name: Cc control, Cs surrogates, Co private use,
# Cn unassigned, Zl and Zp line and paragraph separators. `validate_name` adds Cf, format characters (among them
# bidirectional overrides and zero-width characters), except for the joiners.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
# Format characters that some scripts need within words: zero-width non-joiner and joiner.
_JOINERS = frozenset("\u200c\u200d")
# Blank characters that their category does not reveal: Hangul fillers and the blank Braille pattern.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def normalise_name(value: str) -> str:
    """The name in NFC, without spaces at its ends and with single spaces within. Line breaks are left to validation."""
    try:
        value = unicodedata.normalize("NFC", value)
    except UnicodeError:  # pragma: no cover  (rejected by the validator)
        return value
    return re.sub(r"[^\S\r\n\t\v\f\x1c-\x1f\x85\u2028\u2029]+", " ", value).strip(" ")


def validate_name(value: str) -> None:
    """Raise ValidationError for deceptive or invisible characters, since names appear in menus and mails."""
    for character in value:
        category = unicodedata.category(character)
        if category in _FORBIDDEN_CATEGORIES or (category == "Cf" and character not in _JOINERS):
            raise ValidationError(
                _("Remove line breaks, control characters and invisible formatting characters."),
                code="invisible",
            )
    if value and not any(is_visible(character) for character in value):
        raise ValidationError(_("Enter at least one visible character."), code="blank")


def is_visible(character: str) -> bool:
    """Whether this character is visible on its own."""
    # Marks (M*) only combine with a letter. Z are separators, C control and format characters.
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
    """The name of a tenancy, member, group or topic: 1 to 120 characters, at least one of them visible."""

    default_validators = [validate_name]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", NAME_MAX_LENGTH)
        super().__init__(*args, **kwargs)

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return normalise_name(value) if isinstance(value, str) else value

    def formfield(self, **kwargs: Any) -> Any:
        # Not stripped by the form field: `normalise_name` strips spaces, and line breaks at the ends must be errors.
        return super().formfield(**{"form_class": NameFormField, "strip": False, **kwargs})
