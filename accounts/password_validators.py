"""What a password must be, beyond what Django checks."""

from unicodedata import category

from django.contrib.auth.password_validation import MinimumLengthValidator
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.translation import ngettext


class VisibleLengthValidator(MinimumLengthValidator):
    """Blanks and invisible characters are allowed in a password, but do not count."""

    def validate(self, password: str, user: Model | None = None) -> None:
        # Z are separators, C control and format characters.
        if sum(category(character)[0] not in "ZC" for character in password) < self.min_length:
            raise ValidationError(
                ngettext(
                    "This password is too short. It must contain at least %(count)d character other than blanks.",
                    "This password is too short. It must contain at least %(count)d characters other than blanks.",
                    self.min_length,
                )
                % {"count": self.min_length},
                code="password_too_short",
            )
