"""What was typed is what is there: no word vanishes, and a mark only where it takes effect."""

import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from messenger.markup.markdown import render
from tests.messenger.messages.test_texts_and_names import links_in


def html_of(text: str) -> str:
    """Without the directions and classes of blocks, which have tests of their own."""
    return re.sub(r' (dir|class)="[\w-]+"', "", render(text).html)


def text_of(html: str) -> str:
    """What a reader sees, without the marks of lists."""
    return unescape(re.sub(r"<[^>]*>", "", html.replace("<br>\n", "\n"))).strip()


@pytest.mark.parametrize(
    "typed",
    [
        "[Alice]: yes",
        "[1]: done\n[2]: open",
        "[Alice]: https://a.example",
        "#",
        "##",
        ">",
        ">>",
        "[](https://example.com)",
        "[ ](https://example.com)",
        "[\u200b](https://example.com)",
        "```\n```",
        "```",
        "~~~ \n\n~~~",
        "---",
        "***",
        "-",
        "1.",
        "- \n- ",
        "Amount\n===",
        "&amp; &nbsp; &copy; &#8203;",
        "<b>bold</b>",
        "<!-- remark -->",
        "![chart](https://a.example/chart.png)",
    ],
)
def test_a_text_without_effect_is_displayed_as_it_was_typed(typed: str) -> None:
    seen = "".join(_Seen(html_of(typed)).seen)
    assert [word for word in re.findall(r"\w+", typed) if word not in seen] == []
    assert text_of(html_of(typed)).strip("\u200b "), "something is visible"


@pytest.mark.parametrize(
    "typed",
    ["[Alice]: yes", "#", ">", "[](https://example.com)", "```\n```", "---", "-", "1.", "&nbsp;", "a\\", "\\\\", "\\"],
)
def test_such_a_text_is_displayed_character_by_character(typed: str) -> None:
    assert text_of(html_of(typed)) == typed


@pytest.mark.parametrize("empty", ["#", "###", ">", "```\n```"])
def test_an_empty_block_among_others_is_displayed_too(empty: str) -> None:
    shown = text_of(html_of(f"Before\n\n{empty}\n\nAfter"))
    assert shown.split() == ["Before", *empty.split(), "After"]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (r"\\fileserver\payroll\_2026\*.xlsx", r"\\fileserver\payroll\_2026\*.xlsx"),
        (r"It is in C:\data\_new_\*.csv.", r"It is in C:\data\_new_\*.csv."),
        (r"payroll\2026\[draft]\file", r"payroll\2026\[draft]\file"),
        (r"**C:\data\_x_**", r"C:\data\_x_"),
        ("C:\\data\\\nnext", "C:\\data\\\nnext"),
        (r"..\shared\#1", r"..\shared\#1"),
        (r"a \* b", r"a \* b"),
        (r"5\.000 EUR, 10\% \- :\)", r"5\.000 EUR, 10\% \- :\)"),
        (r"\*not bold\*", "*not bold*"),
        (r"\_not_ so", "_not_ so"),
        (r"1\. no list", "1. no list"),
        (r"\# no heading", "# no heading"),
        (r"\> no quote", "> no quote"),
        (r"\`no code`", "`no code`"),
        (r"¯\_(ツ)_/¯", "¯_(ツ)_/¯"),
        (r"\\*emphasised*", r"\emphasised"),
    ],
)
def test_a_backslash_disappears_only_before_a_mark_that_would_take_effect(typed: str, shown: str) -> None:
    assert text_of(html_of(typed)) == shown


def test_a_backslash_before_an_at_disappears_only_where_somebody_would_be_mentioned() -> None:
    people = {"Ann Lee": [1]}
    assert text_of(render(r"\@Ann Lee and \@Bob", people).html) == r"@Ann Lee and \@Bob"
    assert text_of(render("@Ann Lee", people).html) == "@Ann Lee"
    assert "mention" in render("@Ann Lee", people).html, "or the test proves nothing"


@pytest.mark.parametrize(
    "typed",
    ["5*8*20 = 800", "(5*8)*(20*3)*(2)", "2~~3~~4", "a_b_c", "3 * 4 * 5", "# Question about C #", "x ** 2 ** 3"],
)
def test_calculations_and_names_keep_their_signs(typed: str) -> None:
    assert text_of(html_of(typed)) == typed.removeprefix("# ")


def test_emphasis_needs_no_spaces_where_a_script_has_none() -> None:
    assert html_of("これは**太字**です") == "<p>これは<strong>太字</strong>です</p>\n"


@pytest.mark.parametrize(
    ("typed", "numbers"),
    [
        ("12. May\n15. June", ['<ol start="12">', '<li value="15">']),
        ("1. a\n1. b", ["<ol>", '<li value="1">']),
        ("3) a\n7) b\n8) c", ['<ol start="3">', '<li value="7">']),
        ("1. a\n2. b\n3. c", ["<ol>"]),
    ],
)
def test_list_items_have_the_numbers_that_were_typed(typed: str, numbers: list[str]) -> None:
    assert re.findall(r"<ol[^>]*>|<li value[^>]*>", html_of(typed)) == numbers


def test_no_cell_of_a_table_is_left_out() -> None:
    assert "<td>2</td>" in html_of("|a|b|\n|-|-|\n|1|2|"), "or the test proves nothing"
    shown = html_of("|a|b|\n|-|-|\n|1|2|300 EUR|")
    assert "300 EUR" in shown
    assert "<table>" not in shown
    assert "<td></td>" in html_of("|a|b|\n|-|-|\n|1|"), "too few are filled up"


@pytest.mark.parametrize("name", ["python", "Alice said so", "salary.csv"])
def test_what_a_code_block_is_called_is_displayed_above_it(name: str) -> None:
    assert html_of(f"```{name}\nx = 1\n```") == f"<p>{name}</p>\n<pre><code>x = 1\n</code></pre>\n"


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("https://example.com/abc。次に", "https://example.com/abc"),
        ("https://example.com/abc、次に", "https://example.com/abc"),
        ("（https://example.com/abc）です", "https://example.com/abc"),
        ("「https://example.com/abc」", "https://example.com/abc"),
        ("https://example.com/abc！", "https://example.com/abc"),
        ("https://example.com/abc، ثم", "https://example.com/abc"),
        ("“https://example.com/abc”", "https://example.com/abc"),
        ("https://example.com/abc, then", "https://example.com/abc"),
        ("https://example.com/abc.", "https://example.com/abc"),
        ("www.example.com。次に", "http://www.example.com"),
        ("pay@example.com。次に", "mailto:pay@example.com"),
    ],
)
def test_punctuation_of_any_script_ends_an_address(typed: str, address: str) -> None:
    assert links_in(html_of(typed)) == [address]
    assert text_of(html_of(typed)) == typed


@pytest.mark.parametrize(
    "typed",
    [
        "[x](//elsewhere.example)",
        "[x](/accounts/logout/)",
        "[x](note)",
        "[x](#top)",
        "[x](?a=b)",
        "[call](tel:+49123)",
        "[file](ftp://x.example/a)",
        "[x](https:/accounts/logout/)",
        "[x](http:x)",
        "<tel:+49123>",
        "<ftp://x.example>",
        "tel:+49 123",
        "//elsewhere.example",
        "See payroll.de, report.md and x.de.",
    ],
)
def test_what_is_no_absolute_address_keeps_its_text_and_target(typed: str) -> None:
    assert links_in(html_of(typed)) == []
    assert text_of(html_of(typed)) == typed


def test_a_link_with_a_title_keeps_the_words_of_the_title() -> None:
    typed = '[x](https://a.example "Call Bob")'
    assert text_of(html_of(typed)) == typed
    assert "title=" not in html_of(typed)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("[https://bank.example](https://evil.example/x)", "https://bank.example (evil.example)"),
        ("[www.bank.example](https://evil.example/x)", "www.bank.example (evil.example)"),
        ("[bank.de](https://evil.example)", "bank.de (evil.example)"),
        ("[pay@bank.de](mailto:x@evil.example)", "pay@bank.de (x@evil.example)"),
        ("[our **bank.de**](https://evil.example)", "our bank.de (evil.example)"),
        ("[bank.de](https://www.bank.de/login)", "bank.de"),
        ("[https://bank.example/a](https://bank.example/b)", "https://bank.example/a"),
        ("[münchen.de](https://xn--mnchen-3ya.de)", "münchen.de"),
        ("[our bank](https://evil.example)", "our bank"),
        ("https://bank.example", "https://bank.example"),
    ],
)
def test_a_link_that_looks_like_another_address_has_its_host_beside_it(typed: str, shown: str) -> None:
    assert text_of(html_of(typed)) == shown


class _Seen(HTMLParser):
    """All that a reader sees or can follow: texts, numbers of list items, targets of links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.numbers: list[int] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "ol":
            self.numbers.append(int(attributes.get("start") or 1))
        elif tag == "ul":
            self.numbers.append(-1)
        elif tag == "li" and self.numbers and self.numbers[-1] >= 0:
            number = int(attributes.get("value") or self.numbers[-1])
            self.seen.append(str(number))
            self.numbers[-1] = number + 1
        elif tag == "a":
            self.seen.append(attributes.get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("ol", "ul"):
            self.numbers.pop()

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


PIECES = st.sampled_from(
    [
        *("[Ann]: yes", "[x]", "](https://a.example)", "[](", "(note)", ' "title")', "|a|b|", "|-|-|", "|1|2|3|", "|"),
        *("#", "# ", " #", "> ", ">", "- ", "+ ", "* ", "1. ", "12. ", "3) ", "```", "~~~", "---", "===", "    "),
        *("*", "**", "_", "~~", "`", "\\", "\\*", "C:\\x", "&amp;", "<b>", "<a.example>", "!", "@", "://", "www."),
        *("word", "500", "é", "次", "。", " ", "\n", "\n\n"),
    ]
)


@given(text=st.lists(PIECES, min_size=1, max_size=14).map("".join))
@example(text="|a|b|\n|-|-|\n|1|2|3|")
@example(text="[x]: word")
@example(text="```word\n500\n```")
@settings(max_examples=600, deadline=None)
def test_no_letter_and_no_figure_of_any_text_vanishes(text: str) -> None:
    seen = Counter(character for piece in _Seen(html_of(text)).seen for character in piece if character.isalnum())
    typed = Counter(character for character in text if character.isalnum())
    assert typed - seen == Counter(), html_of(text)
