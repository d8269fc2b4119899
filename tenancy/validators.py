"""Validation of names and slugs, shared by models and forms."""

import re
import unicodedata
from itertools import groupby
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
# bidirectional overrides and zero-width characters), except for joiners where a script needs them.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
# Zero-width non-joiner and joiner.
_JOINERS = "\u200c\u200d"
# Blank characters that their category does not reveal: Hangul fillers, the blank Braille pattern, the grapheme joiner,
# and two vowels of Khmer that are never written.
_BLANK_LETTERS = "\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5"
# No script that is in use stacks more marks on a letter.
MARKS_MAX_LENGTH = 3

# Invisible characters that some scripts and emoji need, only where they have an effect; elsewhere they would make two
# names of one. Joiners and non-joiners stand between letters from Arabic to Mongolian, and of the Indic scripts beyond.
_JOINED = "[\u0600-\u18af\ua800-\uabff\U00010d00-\U00011fff]"
_EMOJI = "[\u00a9\u00ae\u2190-\u27bf\u2900-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
_IDEOGRAPH = "[\u2e80-\u2fdf\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_NEEDED = re.compile(
    f"(?<={_JOINED})[\u200c\u200d](?={_JOINED})"
    f"|(?<={_EMOJI})\u200d(?={_EMOJI})|(?<={_EMOJI}\ufe0f)\u200d(?={_EMOJI})"  # families, professions
    f"|(?<={_EMOJI})[\ufe0e\ufe0f]|(?<=[0-9#*])\ufe0f(?=\u20e3)"  # in colour or in black, keys
    f"|(?<={_IDEOGRAPH})[\ufe00-\ufe02\U000e0100-\U000e01ef]"  # how a family writes its name
    "|(?<=[\u1820-\u18aa])[\u180b-\u180d\u180f]"  # Mongolian
)
_INVISIBLE = re.compile(f"[{_JOINERS}{_BLANK_LETTERS}\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def normalise_name(value: str) -> str:
    """The name in NFC, without spaces at its ends and with single spaces within. Line breaks are left to validation."""
    try:
        value = unicodedata.normalize("NFC", value)
    except UnicodeError:  # pragma: no cover  (rejected by the validator)
        return value
    return re.sub(r"[^\S\r\n\t\v\f\x1c-\x1f\x85\u2028\u2029]+", " ", value).strip(" ")


def validate_name(value: str) -> None:
    """Raise ValidationError for deceptive or invisible characters, since names appear in menus and mails."""
    invisible = ValidationError(
        _("Remove line breaks, control characters and invisible formatting characters."), code="invisible"
    )
    if any(map(_is_forbidden, value)):
        raise invisible
    if value and not any(map(is_visible, value)):
        raise ValidationError(_("Enter at least one visible character."), code="blank")
    if _INVISIBLE.search(_NEEDED.sub("", value)):
        raise invisible
    if _longest_run_of_marks(value) > MARKS_MAX_LENGTH:
        raise ValidationError(_("Use at most three accents or other marks on a letter."), code="marks")


def _is_forbidden(character: str) -> bool:
    category = unicodedata.category(character)
    return category in _FORBIDDEN_CATEGORIES or (category == "Cf" and character not in _JOINERS)


def _longest_run_of_marks(value: str) -> int:
    runs = groupby(value, lambda character: unicodedata.category(character).startswith("M"))
    return max((len(list(run)) for are_marks, run in runs if are_marks), default=0)


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
