"""What people type: messages keep their text and are harmless, names are visible and deceive no one."""

import re
import time
import unicodedata
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import ValidationError
from django.forms import modelform_factory
from hypothesis import example, given, settings
from hypothesis import strategies as st

from messenger.markup import markdown
from messenger.markup.markdown import clean_body
from messenger.models import BODY_MAX_LENGTH, MessengerGroup
from tenancy.models import Tenancy
from tenancy.validators import NAME_MAX_LENGTH, NameFormField, normalise_name, validate_name

# -- Messages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("Hello", "Hello"),
        ("one\r\ntwo\rthree\nfour", "one\ntwo\nthree\nfour"),
        ("NUL\0 gone", "NUL gone"),
        ("lone \ud800 gone", "lone  gone"),
        ("  indented\n", "  indented\n"),  # nothing else changes
        ("\u202eright to left\u202c", "\u202eright to left\u202c"),
        ("e\u0301", "e\u0301"),  # not normalised
        ("😀" * BODY_MAX_LENGTH, "😀" * BODY_MAX_LENGTH),
        (
            "x\r\n" * (BODY_MAX_LENGTH // 2),
            "x\n" * (BODY_MAX_LENGTH // 2),
        ),  # counted after line ends are converted
        ("x" * BODY_MAX_LENGTH + "\0\ud800", "x" * BODY_MAX_LENGTH),
    ],
)
def test_a_message_keeps_its_text(typed: str, stored: str) -> None:
    assert clean_body(typed) == stored


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "required"),
        (" \t\r\n\u00a0\u2003", "required"),
        ("\0", "required"),
        ("\udfff\0\r", "required"),
        ("x" * (BODY_MAX_LENGTH + 1), "max_length"),
        ("😀" * (BODY_MAX_LENGTH + 1), "max_length"),
    ],
)
def test_an_empty_or_too_long_message_is_refused(typed: str, code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        clean_body(typed)
    assert refused.value.code == code


def test_the_error_gives_the_number_of_excess_characters() -> None:
    with pytest.raises(ValidationError, match="12 characters over the limit"):
        clean_body("x" * (BODY_MAX_LENGTH + 12))


def render(text: str) -> str:
    return markdown.render(text).html


class Elements(HTMLParser):
    """The elements of some HTML with their attributes, as a browser would parse them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


HARMLESS = {
    *(
        "p",
        "br",
        "hr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "pre",
        "code",
        "em",
        "strong",
        "s",
        "del",
    ),
    *("a", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
}


def assert_harmless(html: str) -> None:
    for tag, attributes in Elements(html).found:
        assert tag in HARMLESS, html
        assert attributes.pop("dir", "auto") in ("auto", "rtl"), html
        allowed = {"a": {"href", "rel"}, "ol": {"class", "start"}, "li": {"value"}}
        assert set(attributes) <= allowed.get(tag, set()), html
        if tag == "a":
            assert attributes["rel"] == "noopener nofollow", html
            assert urlsplit(attributes.get("href") or "http:").scheme in {"http", "https", "mailto", ""}, html


def links_in(html: str) -> list[str | None]:
    return [attributes.get("href") for tag, attributes in Elements(html).found if tag == "a"]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](java&#10;script:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](<java\tscript:alert(1)>)",
        "[x](\u0001javascript:alert(1))",
        "[x](vbscript:x)",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](file:///etc/passwd)",
        "<javascript:alert(1)>",
        "![x](https://tracker.example/pixel.png)",
        "![x](javascript:alert(1))",
        "[![x](https://tracker.example/p.png)](https://x.example)",
        '[x](https://x.example "onmouseover=alert(1)")',
        '[x](https://x.example" onclick="alert(1))',
        "`<script>`",
        "```html\n<script>alert(1)</script>\n```",
        '```"><script>alert(1)</script>\nx\n```',
        "|a|b|\n|-|:-:|\n|<script>|x|",
        "<style>*{display:none}</style>",
        "<iframe src=https://x.example></iframe>",
        "<!--><script>alert(1)</script>-->",
        "<div\nonclick=alert(1)>x</div>",
        "</p></div><script>",
        "<a@b.c><script>",
        "[x]: javascript:alert(1)\n\n[x]",
    ],
)
def test_no_message_runs_or_fetches_anything(text: str) -> None:
    assert_harmless(render(text))


@pytest.mark.parametrize("address", ["http://x.example", "https://x.example/a?b=c#d", "mailto:pay@x.example"])
def test_links_to_pages_and_e_mail_addresses_work(address: str) -> None:
    assert links_in(render(f"[here]({address})")) == [address]


def test_bare_urls_become_links() -> None:
    assert links_in(render("see https://x.example/a and go")) == ["https://x.example/a"]


@pytest.mark.parametrize("address", ["www.x.com", "www.münchen.de", "www.почта.рф", "WWW.X.DE", "pay@x.de"])
def test_a_bare_host_with_www_or_e_mail_address_becomes_a_link(address: str) -> None:
    assert len(links_in(render(f"see {address} and go"))) == 1


@given(
    text=st.lists(
        st.sampled_from([*"ab1.:/@-_ \nü", "www.", "http:", "ftp://", "mailto:", "xn--", ".com", "рф", "127.0.0.1"]),
        max_size=20,
    ).map("".join)
)
@example(text="mailto:pay@payroll")
@example(text="https://127.0.0.1")
@settings(max_examples=500, deadline=None)
def test_the_pretest_for_links_misses_none(text: str) -> None:
    links: Any = markdown._markdown.linkify
    if links.match(text):
        assert links.pretest(text)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**bold**", "<strong>bold</strong>"),
        ("~~gone~~", "<s>gone</s>"),
        ("one\ntwo", '<p dir="auto">one<br>\ntwo</p>'),
        ("- a\n- b", '<li dir="auto">a</li>'),
        ("3. c", '<ol start="3" dir="auto">'),
        ("|a|\n|-|\n|b|", '<td dir="auto">b</td>'),
        ("1 < 2 & 3", "1 &lt; 2 &amp; 3"),
        ("<b>as typed</b>", "&lt;b&gt;as typed&lt;/b&gt;"),
    ],
)
def test_markdown_is_rendered(text: str, html: str) -> None:
    assert html in render(text)


@pytest.mark.parametrize(
    ("text", "is_long"),
    [
        ("999999999. nine digits", [True]),
        ("1000. four digits", [True]),
        ("999. three digits", [False]),
        ("999. a\n1. the thousandth", [True]),
        ("- a\n- b", []),
        ("1. a\n\n   999999999. inner\n2. b", [False, True]),
        ("1000. a\n      - inner\n", [True]),
    ],
)
def test_a_list_makes_room_for_long_numbers(text: str, is_long: list[bool]) -> None:
    assert ["long-numbers" in tag for tag in re.findall("<ol[^>]*>", render(text))] == is_long


MARKUP = st.lists(
    st.sampled_from(
        [
            *"[]()<>!*_~`#|-=\\\"'&;:/ \n\t\0\r@.x1",
            *("\ud800", "\u202e", "🏴", "http://", "https://", "//", "www.", ".com", "xn--", "%00", "%"),
            *("javascript:", "JAVASCRIPT:", "data:", "mailto:", "&#x", "&colon;", "<script>", "</script>"),
            *("<img src=", "onerror=", "<!--", "-->", "<![CDATA[", "```", "~~~", "![", "](", "[x]:"),
        ]
    ),
    max_size=40,
).map("".join)


@given(text=st.text(alphabet=st.characters(), max_size=200) | MARKUP)
@example(text="http://[")
@example(text="[x](http://[)")
@example(text="https://xn--\udc00.com")
@settings(max_examples=200, deadline=None)
def test_any_input_is_refused_or_stored_and_harmless(text: str) -> None:
    try:
        body = clean_body(text)
    except ValidationError:
        return
    assert 1 <= len(body) <= BODY_MAX_LENGTH
    assert clean_body(body) == body, "cleaning again changes nothing"
    body.encode()
    assert "\0" not in body
    assert_harmless(render(body))


@pytest.mark.parametrize(
    "piece",
    [
        *("[", "*a ", "**a", "_a_", "> ", "- ", "`", "![", "<", "&", "~~a", "|-", "[x](", "\\", "*_", "|a\n"),
        *("http://x.example ", "a@b.c ", "<!--", "1. ", "#", "((", "//", "[a]: x\n", "</"),
    ],
)
def test_no_message_takes_long_to_render(piece: str) -> None:
    body = (piece * BODY_MAX_LENGTH)[:BODY_MAX_LENGTH]
    for text in (body, body + "\n\nx", "|a|b|\n|-|-|\n" + body[:-20]):
        started = time.process_time()
        assert_harmless(render(text))
        assert time.process_time() - started < 1


# -- Names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "Payments processing",
        "Nómina – 2ª quincena",
        "O’Brien & Søn (Ltd.)",
        "رواتب الموظفين",
        "شرکت می‌خواهم",  # a zero-width non-joiner within a Persian word
        "वेतन प्रसंस्करण",
        "क्‍ष",  # a zero-width joiner within a Devanagari conjunct
        "การจ่ายเงินเดือน",
        "שכר עבודה",
        "給与計算",
        "급여",
        "Зарплата",
        "Μισθοδοσία",
        "Tiền lương",
        "ශ්‍රී ලංකා",
        "👩‍👩‍👧‍👦",
        "❤️",
        "👍🏽",
        "👩🏽‍💻 Team ❤️‍🔥",
        "1️⃣ Löhne ☎︎",
        "葛󠄀城",  # a family's own form of the character
        "ᠮᠣᠩᠭᠣᠯ᠋",
        "བསྒྲུབས",
        "Nguyễn Thị Ế",
        "🇩🇪 Löhne",
        "€",
        "1",
        "…",
    ],
)
def test_names_in_any_script_are_accepted(name: str) -> None:
    name = normalise_name(name)
    validate_name(name)
    assert name == unicodedata.normalize("NFC", name)
    field = Tenancy._meta.get_field("name")
    assert field.clean(name, None) == name


INVISIBLE = {
    "line feed": "two\nlines",
    "carriage return": "two\rlines",
    "line break at the end": "name\n",
    "line break at the beginning": "\nname",
    "tab": "a\tb",
    "tab at the end": "a\t",
    "NUL": "a\0b",
    "escape": "a\x1b[31m",
    "delete": "a\x7f",
    "next line": "a\x85b",
    "unit separator at the end": "a\x1f",
    "vertical tab": "a\x0bb",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029",
    "right-to-left override": "exe.\u202efdp",
    "left-to-right override": "\u202dabc",
    "embedding": "\u202babc\u202c",
    "isolate": "\u2067abc\u2069",
    "right-to-left mark": "abc\u200f",
    "arabic letter mark": "abc\u061c",
    "zero-width space": "pay\u200broll",
    "word joiner": "pay\u2060roll",
    "byte order mark": "\ufeffPayroll",
    "soft hyphen": "pay\u00adroll",
    "tag characters": "pay\U000e0072oll",
    "high surrogate": "a\ud800",
    "low surrogate": "\udfffb",
    "surrogate alone": "\ud83d",
    "private use": "a\ue000",
    "not a character": "a\uffff",
    "joiner between Latin letters": "pay\u200droll",
    "non-joiner between Latin letters": "pay\u200croll",
    "joiner at the end": "Payroll\u200d",
    "joiner at the end of an Arabic word": "رواتب\u200d",
    "two joiners": "क\u200d\u200dष",
    "joiner between emoji and letter": "👩\u200dx",
    "variation selector on a letter": "Payroll\ufe0f",
    "variation selector of an ideograph on a letter": "Payroll\U000e0101",
    "two variation selectors": "❤\ufe0f\ufe0f",
    "Mongolian variation selector on a letter": "Payroll\u180b",
    "hangul filler at the end": "Payroll\u3164",
    "jamo filler": "Pay\u115froll",
    "braille blank as a space": "Pay\u2800roll",
    "grapheme joiner": "Pay\u034froll",
    "Khmer vowel that is never written": "Pay\u17b4roll",
}
BLANK = {
    "joiners": "\u200d\u200c",
    "combining mark": "\u0301",
    "combining marks": "\u0301\u0302 \u0303",
    "enclosing mark": "\u20dd",
    "vowel sign": "\u093e",
    "variation selector": "\ufe0f",
    "joiner and variation selector": "\u200d\ufe0f",
    "combining grapheme joiner": "\u034f",
    "hangul filler": "\u3164",
    "half-width hangul filler": "\uffa0",
    "hangul jamo fillers": "\u115f\u1160",
    "braille blank": "\u2800",
    "spaces of Unicode in one": "\u3000\u200d\u3000",
}


@pytest.mark.parametrize("name", INVISIBLE.values(), ids=INVISIBLE)
def test_a_name_contains_no_invisible_characters(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        validate_name(normalise_name(name))
    assert refused.value.code == "invisible"


@pytest.mark.parametrize("name", BLANK.values(), ids=BLANK)
def test_a_name_contains_something_visible(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        validate_name(normalise_name(name))
    assert refused.value.code == "blank"


@pytest.mark.parametrize("name", ["a" + "\u0316" * 4, "a\u0316\u0317\u0318\u20dd", "Pay" + "\u0336" * 100 + "roll"])
def test_a_name_has_at_most_three_marks_in_a_row(name: str) -> None:
    validate_name(normalise_name("a\u0316\u0317\u0318"))
    with pytest.raises(ValidationError) as refused:
        validate_name(normalise_name(name))
    assert refused.value.code == "marks"


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("  Payroll  ", "Payroll"),
        ("Pay  roll", "Pay roll"),
        ("Pay\u00a0\u2003roll", "Pay roll"),
        ("\u3000給与\u3000計算\u3000", "給与 計算"),
        ("Cafe\u0301", "Café"),
        ("\u212b", "\u00c5"),
    ],
)
def test_names_that_look_alike_are_stored_alike(typed: str, stored: str) -> None:
    assert normalise_name(typed) == stored


@pytest.mark.parametrize("name", ["", "   ", "\u00a0", "\u3000"])
def test_an_empty_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        MessengerGroup._meta.get_field("name").clean(name, None)
    with pytest.raises(ValidationError):
        NameFormField(validators=[validate_name]).clean(name)


@pytest.mark.parametrize("character", ["n", "é", "ก", "😀"])
def test_a_name_has_at_most_120_characters(character: str) -> None:
    field = MessengerGroup._meta.get_field("name")
    assert field.clean(character * NAME_MAX_LENGTH, None) == character * NAME_MAX_LENGTH
    with pytest.raises(ValidationError):
        field.clean(character * (NAME_MAX_LENGTH + 1), None)


def test_the_length_of_a_name_is_that_of_its_stored_form() -> None:
    field = MessengerGroup._meta.get_field("name")
    assert field.clean("e\u0301" * NAME_MAX_LENGTH, None) == "é" * NAME_MAX_LENGTH
    with pytest.raises(ValidationError):  # this letter has no composed form in NFC: two characters each
        field.clean("\u0958" * NAME_MAX_LENGTH, None)


@pytest.mark.parametrize("name", [*INVISIBLE.values(), *BLANK.values()], ids=[*INVISIBLE, *BLANK])
def test_model_and_form_refuse_the_same_names(name: str) -> None:
    field = MessengerGroup._meta.get_field("name")
    with pytest.raises(ValidationError):
        field.clean(name, None)
    form = modelform_factory(MessengerGroup, fields=["name"])({"name": name})
    assert list(form.errors) == ["name"]


@given(typed=st.text(alphabet=st.characters(), max_size=130))
@settings(max_examples=200, deadline=None)
def test_any_input_is_refused_or_becomes_a_name_that_is_stable(typed: str) -> None:
    field = MessengerGroup._meta.get_field("name")
    try:
        name = field.clean(typed, None)
    except ValidationError:
        return
    assert 1 <= len(name) <= NAME_MAX_LENGTH
    assert field.clean(name, None) == name
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", name)
    assert name == name.strip()
    name.encode()


@pytest.mark.parametrize(
    "text",
    [
        "|" * 2000 + "\n" + "|-" * 2000 + "|\n" + "a|b\n" * 200,
        "> " * 300 + "the last word",
        "".join(f"{'  ' * level}- item\n" for level in range(90)) + "the last word",
        "*a " * 3000,
    ],
)
def test_a_text_that_abuses_markdown_is_displayed_whole_and_stays_small(text: str) -> None:
    html = render(text[:10_000])
    assert len(html) < 310_000
    if "the last word" in text:
        assert "the last word" in html, "no part of the text may be missing"
