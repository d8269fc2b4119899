"""Arabic and Hebrew beside English: each block of a message, each field and each name has its own direction."""

import re

import pytest

from messenger.markup.markdown import prepare
from messenger.notifications.delivery.mails import message_mail
from tenancy.models import MailDetail
from tests.support.cast import Cast, make_group, make_topic, post, sign_in
from tests.support.pages import GROUPS, TOPICS, USERS, text_of, thread

ARABIC, HEBREW = "مرحبا بالجميع", "שלום לכולם"


def directions(text: str) -> list[str]:
    """Each tag with its direction, in order; a tag without one is not listed."""
    return re.findall(r'<(\w+(?: start="\d+")? dir="\w+")', prepare(text).html)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ARABIC, ['p dir="auto"']),
        (f"Hello\n\n{ARABIC}\n\n{HEBREW}", ['p dir="auto"'] * 3),
        (f"# {HEBREW}", ['h1 dir="auto"']),
        (f"> {ARABIC}", ['blockquote dir="rtl"', 'p dir="auto"']),
        ("> Hello", ['blockquote dir="auto"', 'p dir="auto"']),
        (f"> Hello\n>\n> {ARABIC}", ['blockquote dir="auto"', 'p dir="auto"', 'p dir="auto"']),
        (f"> 2026: {ARABIC}", ['blockquote dir="rtl"', 'p dir="auto"']),
        (f"> 123\n>\n> {ARABIC}", ['blockquote dir="rtl"', 'p dir="auto"', 'p dir="auto"']),
        (f"> Hello\n\n{ARABIC}", ['blockquote dir="auto"', 'p dir="auto"', 'p dir="auto"']),
        (f"> 123\n\n{ARABIC}", ['blockquote dir="auto"', 'p dir="auto"', 'p dir="auto"']),
        (f"> > {HEBREW}", ['blockquote dir="rtl"'] * 2 + ['p dir="auto"']),
        (f"> Hello\n> > {HEBREW}", ['blockquote dir="auto"', 'p dir="auto"', 'blockquote dir="rtl"', 'p dir="auto"']),
        (f"- {HEBREW}\n- Hello", ['ul dir="rtl"', 'li dir="rtl"', 'li dir="auto"']),
        (f"3. Hello\n4. {HEBREW}", ['ol start="3" dir="auto"', 'li dir="auto"', 'li dir="rtl"']),
        (
            f"|{ARABIC}|Amount|\n|-|-|\n|a|1|",
            ['table dir="rtl"', 'th dir="auto"', 'th dir="auto"', 'td dir="auto"', 'td dir="auto"'],
        ),
        (f"```\n{ARABIC}\n```", ['pre dir="auto"']),
        (f"```py\n{ARABIC}\n```", ['p dir="auto"', 'pre dir="auto"']),
        (f"    {ARABIC}", ['pre dir="auto"']),
        (f"{'>' * 60} {ARABIC}", ['p dir="auto"']),
    ],
)
def test_each_block_has_its_direction(text: str, expected: list[str]) -> None:
    assert directions(text) == expected


@pytest.mark.parametrize("text", ["<pre>", "`<pre>`", '<p dir="rtl">', '<bdo dir="rtl">x</bdo>'])
def test_a_direction_that_was_typed_is_text(text: str) -> None:
    assert directions(text) == ['p dir="auto"']


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "direction"), [(HEBREW, "rtl"), (f"**{ARABIC}**", "rtl"), ("Hello", "ltr"), ("1", "auto")]
)
def test_a_mail_quotes_a_message_in_its_direction(cast: Cast, text: str, direction: str) -> None:
    cast.northwind.mail_detail = MailDetail.FULL_TEXT
    cast.northwind.save(update_fields=["mail_detail"])
    cast.bob.tenancy = cast.northwind
    html = str(message_mail(post(cast.payments, cast.alice, text), cast.bob).alternatives[0][0])
    assert f'<blockquote dir="{direction}"><p dir="auto">' in html
    assert '<span dir="auto">Alice Almeida</span>' in html


TEXT_FIELD = re.compile(r'<textarea\b[^>]*>|<input\b[^>]*type="(?:text|search)"[^>]*>')


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("who", "page"),
    [
        ("alice", TOPICS),
        ("alice", "THREAD"),
        ("alice", "THREADmessages/1/edit/"),
        ("alice", "THREADedit/"),
        ("alice", f"{TOPICS}topics/new/"),
        ("alice", f"{TOPICS}search/"),
        ("dana", USERS),
        ("dana", f"{USERS}new/"),
        ("dana", GROUPS),
        ("dana", f"{GROUPS}new/"),
    ],
)
def test_every_text_field_takes_the_direction_of_what_is_typed(cast: Cast, who: str, page: str) -> None:
    post(cast.payments, cast.alice)
    response = sign_in(getattr(cast, who)).get(page.replace("THREAD", thread(cast.payments)))
    assert response.status_code == 200
    fields = TEXT_FIELD.findall(text_of(response))
    assert fields, "or the test proves nothing"
    assert [field for field in fields if 'dir="auto"' not in field] == []


@pytest.mark.django_db
def test_names_keep_their_direction_beside_other_text(cast: Cast) -> None:
    topic = make_topic(make_group(cast.northwind, ARABIC, cast.alice, cast.bob), HEBREW)
    cast.alice.name = ARABIC
    cast.alice.save(update_fields=["name"])
    post(topic, cast.alice, HEBREW)
    bob = sign_in(cast.bob)
    page = text_of(bob.get(TOPICS))
    assert f'dir="auto">{HEBREW}</a>' in page
    assert f"<b><bdi>{ARABIC}</bdi>:</b> <bdi>{HEBREW}</bdi>" in page
    assert f"<bdi>{ARABIC}</bdi></p>" in page, "the group"
    assert f'<bdi class="message-author">{ARABIC}</bdi>' in text_of(bob.get(thread(topic)))
