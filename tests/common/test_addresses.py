"""The one stored spelling of an address, and the readable one."""

import pytest
from django.core.exceptions import ValidationError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.addresses import clean_address, readable_address, stored_address


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("anna@müller.example", "anna@xn--mller-kva.example"),
        (" Anna@MÜLLER.Example ", "anna@xn--mller-kva.example"),
        ("anna@mu\u0308ller.example", "anna@xn--mller-kva.example"),
        ("anna@XN--MLLER-KVA.example", "anna@xn--mller-kva.example"),
        ("anna@post.müller.example", "anna@post.xn--mller-kva.example"),
        ("anna@straße.example", "anna@xn--strae-oqa.example"),  # not strasse.example
        ("anna@STRAẞE.example", "anna@xn--strae-oqa.example"),
        ("anna@例え.テスト", "anna@xn--r8jz45g.xn--zckzah"),
        ("anna@例え。テスト", "anna@xn--r8jz45g.xn--zckzah"),
        ("anna@ｅｘａｍｐｌｅ.com", "anna@example.com"),
        ("anna@почта.рф", "anna@xn--80a1acny.xn--p1ai"),
        ("anna@ΣΊΣΥΦΟΣ.gr", stored_address("anna@σίσυφοσ.gr")),
        ("anna@mü\u00adller.example", "anna@xn--mller-kva.example"),
        ("anna@example.com", "anna@example.com"),
    ],
)
def test_an_address_has_one_stored_spelling(typed: str, stored: str) -> None:
    assert stored_address(typed) == stored
    assert clean_address(typed) == stored
    assert stored.isascii()


@pytest.mark.parametrize(
    ("stored", "readable"),
    [
        ("anna@xn--mller-kva.example", "anna@müller.example"),
        ("anna@xn--strae-oqa.example", "anna@straße.example"),
        ("anna@xn--r8jz45g.xn--zckzah", "anna@例え.テスト"),
        ("anna@xn--80a1acny.xn--p1ai", "anna@почта.рф"),
        ("anna@example.com", "anna@example.com"),
        ("anna@xn--.example", "anna@xn--.example"),  # stands for nothing
        ("anna@xn--mller-KVA9.example", "anna@xn--mller-KVA9.example"),
        (stored_address("anna@pаypal.example"), stored_address("anna@pаypal.example")),  # with a Cyrillic letter
        (stored_address("anna@💶.example"), stored_address("anna@💶.example")),
    ],
)
def test_an_address_is_shown_as_people_write_it_unless_that_deceives(stored: str, readable: str) -> None:
    assert readable_address(stored) == readable


@pytest.mark.parametrize("typed", ["anna", "anna@", "@müller.example", "an na@x.example", "a@" + "ü" * 70 + ".example"])
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError):
        clean_address(typed)


def test_an_address_that_is_too_long_in_its_stored_spelling_is_refused() -> None:
    typed = "a@" + ".".join(["ü" * 40] * 5 + ["ü" * 30]) + ".example"
    assert len(typed) < 254 < len(stored_address(typed)), "or the test proves nothing"
    with pytest.raises(ValidationError):
        clean_address(typed)


@given(typed=st.text(max_size=40) | st.from_regex(r"a@[\w.-]{1,30}\.example", fullmatch=True))
@example(typed="@xn--\ud800")
@settings(max_examples=400, deadline=None)
def test_both_spellings_lead_to_the_stored_one(typed: str) -> None:
    stored = stored_address(typed)
    assert stored_address(stored) == stored
    assert stored_address(readable_address(stored)) == stored
