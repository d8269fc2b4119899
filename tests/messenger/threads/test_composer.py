"""The composer without scripts, and the requests of its scripts: preview, quotes, people to mention."""

from typing import Any
from uuid import uuid4

import pytest

from messenger.groups.services import save_group
from messenger.messages.editing import remove_message
from messenger.models import BODY_MAX_LENGTH, Mention, Message
from messenger.threads.composer import Composer
from tenancy.models import Member
from tests.support.cast import Cast, make_member, post, sign_in
from tests.support.composer import client_id_in, text_in

pytestmark = pytest.mark.django_db

FETCH = {"X-Requested-With": "fetch"}
Response = Any


def path(cast: Cast, rest: str = "") -> str:
    return f"/northwind/messenger/topics/{cast.payments.pk}/{rest}"


def preview(cast: Cast, body: str, **headers: str) -> Response:
    form = {"body": body, "client_id": str(uuid4()), "preview": "1"}
    return sign_in(cast.bob).post(path(cast, "preview/"), form, headers=headers)


def test_a_preview_is_what_would_be_posted_and_writes_nothing(cast: Cast) -> None:
    text = "**Bold** for @Alice Almeida and @Bob Brandt, `@Alice Almeida`\n\n> quoted"
    answer = preview(cast, text, **FETCH)
    assert answer.status_code == 200
    assert not Message.objects.exists()
    assert not Mention.objects.exists()
    post(cast.payments, cast.bob, text)
    assert answer.content.decode() in sign_in(cast.bob).get(path(cast)).content.decode()
    assert '<span class="mention mention-own">@Bob Brandt</span>' in answer.content.decode()


@pytest.mark.parametrize(
    ("body", "error"), [(" ", "Write a message first."), ("x" * 10_003, "3 characters over the limit")]
)
@pytest.mark.parametrize("headers", [{}, FETCH], ids=["page", "script"])
def test_the_preview_of_an_invalid_text_returns_it_with_an_error(
    cast: Cast, body: str, error: str, headers: dict[str, str]
) -> None:
    answer = preview(cast, body, **headers)
    assert answer.status_code == 422
    assert error in answer.content.decode()
    assert text_in(answer.content.decode()) == body
    assert BODY_MAX_LENGTH == 10_000
    assert ("<html" in answer.content.decode()) == (not headers)


def test_without_scripts_the_preview_is_the_thread_with_the_text_in_its_composer(cast: Cast) -> None:
    post(cast.payments, cast.alice, "Good morning")
    answer = preview(cast, "**Bold**\n<b>raw</b>")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "<strong>Bold</strong><br>\n&lt;b&gt;raw&lt;/b&gt;" in page
    assert "**Bold**\n&lt;b&gt;raw&lt;/b&gt;</textarea>" in page
    assert "Good morning" in page
    sent = sign_in(cast.bob).post(
        path(cast, "messages/"), {"body": "**Bold**\n<b>raw</b>", "client_id": client_id_in(page)}
    )
    assert sent.status_code == 303


def test_a_preview_without_a_client_id_gets_one(cast: Cast) -> None:
    answer = sign_in(cast.bob).post(path(cast, "preview/"), {"body": "Hello"})
    assert answer.status_code == 200
    assert Composer("Hello", client_id_in(answer.content.decode())).uuid


# -- Quotes -----------------------------------------------------------------------------------------------------------


def test_a_quote_is_the_markdown_text_below_its_authors_name(cast: Cast) -> None:
    Member.objects.filter(pk=cast.alice.pk).update(name="Alice *A*")
    post(cast.payments, cast.alice, "Two **lines**\n\nand\n> a quote\n")
    answer = sign_in(cast.bob).get(path(cast, "messages/1/quotation/"))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    text = "> **Alice \\*A\\*:**\n> Two **lines**\n>\n> and\n> > a quote\n\n"
    assert answer.content.decode() == text
    quoting = post(cast.payments, cast.bob, text + "I agree.")
    assert quoting.body_html.startswith(
        '<blockquote dir="auto">\n<p dir="auto"><strong>Alice *A*:</strong><br>\nTwo <strong>lines</strong></p>'
    )
    assert quoting.body_html.endswith('</blockquote>\n<p dir="auto">I agree.</p>\n')


def test_quoting_a_mention_does_not_mention_anyone_again(cast: Cast) -> None:
    post(cast.payments, cast.alice, "@Bob Brandt, look")
    text = sign_in(cast.alice).get(path(cast, "messages/1/quotation/")).content.decode()
    assert "> @Bob Brandt, look" in text
    post(cast.payments, cast.alice, text + "Did you?")
    assert list(Mention.objects.values_list("sequence", flat=True)) == [1]


def test_without_scripts_a_thread_opens_with_a_quote(cast: Cast) -> None:
    post(cast.payments, cast.alice, "Good morning")
    page = sign_in(cast.bob).get(path(cast), {"quote": "1"})
    assert text_in(page.content.decode()) == "> **Alice Almeida:**\n> Good morning\n\n"
    assert "&gt; Good morning\n\n</textarea>" in page.content.decode()


@pytest.mark.parametrize("sequence", ["2", "0", "-1", "x", "", "9" * 26, "1\0"])
def test_quoting_a_nonexistent_message_is_refused(cast: Cast, sequence: str) -> None:
    post(cast.payments, cast.alice)
    assert sign_in(cast.bob).get(path(cast), {"quote": "1"}).status_code == 200
    assert sign_in(cast.bob).get(path(cast), {"quote": sequence}).status_code in (400, 404)


def test_a_removed_message_cannot_be_quoted(cast: Cast) -> None:
    post(cast.payments, cast.alice, "the bonus")
    remove_message(cast.payments.pk, 1, cast.alice)
    bob = sign_in(cast.bob)
    assert bob.get(f"{path(cast)}messages/1/quotation/").status_code == 404
    thread = bob.get(path(cast), {"quote": "1"})
    assert thread.status_code == 200
    assert "data-quote" not in bob.get(f"{path(cast)}messages/1/").content.decode()
    assert text_in(thread.content.decode()) == ""


# -- People -----------------------------------------------------------------------------------------------------------


def test_the_other_current_readers_are_listed_by_name_only(cast: Cast) -> None:
    twins = [make_member(cast.northwind, f"{name} x") for name in ("Maria1", "Maria2", "Gone")]
    Member.objects.filter(pk__in=[twin.pk for twin in twins[:2]]).update(name="Maria Silva")
    save_group(cast.payroll, [cast.alice, cast.bob, *twins])
    Member.objects.filter(pk=twins[2].pk).update(is_active=False)
    answer = sign_in(cast.bob).get(path(cast, "people/"))
    assert answer.json() == {"people": [{"name": "Alice Almeida", "count": 1}, {"name": "Maria Silva", "count": 2}]}
    assert "@" not in answer.content.decode()
