"""Names as they are compared: what folds alike, what looks the same, and that PostgreSQL says so too."""

import sys
import unicodedata

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from common.folding import fold, skeleton

EVERY_CHARACTER = [
    character
    for character in map(chr, range(1, sys.maxunicode + 1))
    if unicodedata.category(character) not in ("Cs", "Cn", "Co")
]
# Letters of many scripts beside what changes with them: marks, fillers, joiners, quotation marks.
TEXTS = st.text(
    st.sampled_from("aAßẞæÆøłŁıİIœÞðŋéñüſﬁŉǆΣσςΐᾳЙёїԱևאּשׁلأ\u0640\u064eकि\u094d\u0930ไทยがｶﾞ각ᄀ\u1161ａＺⅫ㎏№ ")
    | st.sampled_from("'’‘ʼ´`\"“„«″-‐–－\u0301\u0308\u0345\u3099\u093c\u034f\u200d\u00ad\ufe0f\u3164\u2800\u00a0\u3000")
    | st.characters(exclude_categories=("Cs", "Cn", "Co"), exclude_characters="\0"),
    max_size=20,
)


def in_sql(function: str, texts: list[str]) -> list[str]:
    with connection.cursor() as cursor:
        query = f"SELECT {function}(text) FROM unnest(%s) WITH ORDINALITY AS typed (text, place) ORDER BY place"  # noqa: S608
        cursor.execute(query, [texts])
        return [folded for (folded,) in cursor.fetchall()]


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("Dvořák", "dvorak"),
        ("Gehälter", "gehalter"),
        ("Inês", "ines"),
        ("O'Brien", "O’Brien"),
        ("O’Brien", "o`brien"),
        ("O'Brien", "O´Brien"),
        ("Straße", "STRASSE"),
        ("STRAẞE", "strasse"),
        ("Işık", "isik"),
        ("IŞIK", "ışık"),
        ("İstanbul", "istanbul"),
        ("Ærø", "aero"),
        ("Łódź", "lodz"),
        ("Đặng", "dang"),
        ("Þóra Guðrún", "thora gudrun"),
        ("Œuvre", "oeuvre"),
        ("Ａｎｎａ", "anna"),
        ("ﬁnance", "FINANCE"),
        ("Σίσυφος", "ΣΙΣΥΦΟΣ"),
        ("Алёна", "алена"),
        ("مُحَمَّد", "محمد"),
        ("שָׁלוֹם", "שלום"),
        ("ガス", "ｶﾞｽ"),
        ("급여", unicodedata.normalize("NFD", "급여")),
        ("José", "Jose\u0301"),
        ("Müller-Lüdenscheidt", "muller‑ludenscheidt"),
        ("Payroll", "Pay\u00adroll"),
        ("می\u200cخواهم", "میخواهم"),
        ('The "A" team', "the “a” team"),
    ],
)
@pytest.mark.django_db
def test_a_name_is_found_however_it_is_typed(stored: str, typed: str) -> None:
    assert fold(typed) == fold(stored)
    assert in_sql("folded_name", [stored, typed]) == [fold(stored)] * 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna", "Anne"),
        ("कि", "का"),
        ("क", "कि"),
        ("ไก", "กา"),
        ("か", "が"),
        ("가", "각"),
        ("Ann", "A n n"),
        ("і", "i"),
    ],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert fold(one) != fold(other)
    assert skeleton(one) != skeleton(other)


LOOK_ALIKES = [
    "Pay\u200droll",
    "Pay\u200croll",
    "Payroll\ufe0f",
    "Payroll\U000e0101",
    "Payroll\u3164",
    "\u115fPayroll",
    "Pay\u1160roll",
    "Payroll\u2800",
    "Payroll \u3164",
    "Pay\u034froll",
    "Pay\u00adroll",
    "Pay\u2060roll",
    "Pay\u17b4roll",
    "PAYROLL",
    "Ｐａｙｒｏｌｌ",
    "𝐏𝐚𝐲𝐫𝐨𝐥𝐥",
    "Ⓟayroll",
]


@pytest.mark.parametrize("name", LOOK_ALIKES)
@pytest.mark.django_db
def test_names_that_look_the_same_have_one_skeleton(name: str) -> None:
    assert name != "Payroll", "or the test proves nothing"
    assert skeleton(name) == "payroll"
    assert in_sql("name_skeleton", [name]) == ["payroll"]


@pytest.mark.parametrize(("one", "other"), [("Müller", "Muller"), ("Ines", "Inês"), ("Łódź", "Lodz"), ("مُ", "م")])
def test_accents_make_another_name(one: str, other: str) -> None:
    assert fold(one) == fold(other), "or the test proves nothing"
    assert skeleton(one) != skeleton(other)


@pytest.mark.django_db
@pytest.mark.parametrize(("function", "name"), [(fold, "folded_name"), (skeleton, "name_skeleton")])
def test_postgresql_folds_every_character_like_python(function, name: str) -> None:  # type: ignore[no-untyped-def]
    assert len(EVERY_CHARACTER) > 140_000, "or the test proves nothing"
    folded = list(map(function, EVERY_CHARACTER))
    different = [
        (ascii(character), ascii(ours), ascii(theirs))
        for character, ours, theirs in zip(EVERY_CHARACTER, folded, in_sql(name, EVERY_CHARACTER), strict=True)
        if ours != theirs
    ]
    assert different == []
    assert list(map(function, folded)) == folded, "folding again changes nothing"


class Folding(TestCase):
    @given(texts=st.lists(TEXTS, min_size=20, max_size=40))
    @settings(max_examples=40, deadline=None)
    def test_postgresql_folds_every_text_like_python(self, texts: list[str]) -> None:
        assert in_sql("folded_name", texts) == list(map(fold, texts))
        assert in_sql("name_skeleton", texts) == list(map(skeleton, texts))


@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_text_folds_like_its_characters(text: str) -> None:
    """So that the end of a name is found in a text (messenger/markup/mention_syntax.py)."""
    text = unicodedata.normalize("NFD", text)  # in canonical order
    assert unicodedata.normalize("NFD", fold(text)) == unicodedata.normalize("NFD", "".join(map(fold, text)))
