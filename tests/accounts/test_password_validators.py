"""What is no password."""

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError


@pytest.mark.parametrize(
    "password", [" " * 10, "\u00a0" * 12, "\u200b" * 10, "\t" * 10, "\u3000" * 10, "x" + " " * 20, "qz7 rk2  w"]
)
def test_blanks_are_no_password(password: str) -> None:
    assert len(password) >= 10, "or the test proves nothing"
    with pytest.raises(ValidationError, match="at least 10 characters other than blanks"):
        validate_password(password)


@pytest.mark.parametrize(
    "password", ["correct horse battery", "  qz7 rk2 wm4x ", "пароль для всех", "安全な合言葉を選びます"]
)
def test_a_password_may_contain_blanks_and_any_script(password: str) -> None:
    validate_password(password)
