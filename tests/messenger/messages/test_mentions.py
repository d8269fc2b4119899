"""Mentions: what counts as one, whom it names, how readers see it, and that no e-mail depends on it."""

import re
import time
from html.parser import HTMLParser
from uuid import uuid4

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.folding import fold
from messenger.groups.services import save_group
from messenger.markup.markdown import prepare, render
from messenger.markup.mentions import shown_to
from messenger.messages.editing import edit_message, remove_message
from messenger.messages.posting import post_message
from messenger.models import Delivery, MailPreference, Mention, Topic
from messenger.notifications.delivery import outbox
from messenger.notifications.preferences.services import set_muted
from messenger.reading.positions import mark_read
from tenancy.models import MailDetail, Member
from tests.support.cast import Cast, make_member, make_topic, post, sign_in

ANN, ANN_LEE, BOB, MARIAS, WANG, STAR = [1], [2], [3], [4, 5], [6], [7]
PEOPLE = {
    "Ann": ANN,
    "Ann Lee": ANN_LEE,
    "Bob O’Brien & Søn": BOB,
    "Maria Silva": MARIAS,
    "王芳": WANG,
    "A*B* [x](y) `z`": STAR,
}


@pytest.mark.parametrize(
    ("text", "mentioned"),
    [
        ("@Ann", ANN),
        ("Hello @Ann, how are you?", ANN),
        ("@ann lee", ANN_LEE),  # in upper or lower case
        ("@Ann Lee", ANN_LEE),  # the longest name that fits
        ("@Ann Leeds", ANN),
        ("@Ann-Lee", ANN),
        ("@Ann's", ANN),
        ("@Ann and @Ann Lee", [*ANN, *ANN_LEE]),
        ("(@Ann) **@Ann Lee** _@Bob O’Brien & Søn_", [*ANN, *ANN_LEE, *BOB]),
        ("# @Ann\n\n- @Ann Lee\n\n|a|\n|-|\n|@Maria Silva|", [*ANN, *ANN_LEE, *MARIAS]),
        ("@Maria Silva", MARIAS),  # everyone of that name
        ("你好@王芳请看", WANG),  # Chinese has no spaces between words
        ("@A*B* [x](y) `z`", STAR),  # Markdown characters are part of the name
        ("Ann", []),
        ("@Anna", []),
        ("@ Ann", []),
        ("@An\u0301n", ANN),  # with an accent or without
        ("@Ann\u0301", ANN),
        ("@Anń Lee", ANN_LEE),
        ("@Ann\nLee", ANN),
        ("mail@Ann", []),
        ("pay.@Ann", []),
        ("https://x.example/@Ann", []),
        ("[@Ann](https://x.example)", []),
        ("\\@Ann", []),
        ("`@Ann`", []),
        ("```\n@Ann\n```", []),
        ("    @Ann", []),
        ("> @Ann", []),  # a quote does not mention again
        ("> > - @Ann\n\nbut @Ann Lee", ANN_LEE),
        ("@Nobody Here", []),
    ],
)
def test_who_is_mentioned(text: str, mentioned: list[int]) -> None:
    body = prepare(text, PEOPLE)
    assert body.mentioned == set(mentioned)
    assert ('class="mention"' in body.html) == bool(mentioned)
    assert body.text == text


SPELT: dict[str, list[int]] = {
    "Dvořák": [1],
    "Sean O'Brien": [2],
    "Strauß": [3],
    "Ines": [4],
    "Inês": [5],
    "INES": [6],
    "Jose\u0301": [7],
    "Işık": [8],
    "Łukasz Æ": [9],
    "각": [10],
    "が": [11],
    "Noël": [12],
    "Noèl": [13],
    "ـ": [14],  # folds to nothing
}


@pytest.mark.parametrize(
    ("text", "mentioned", "marked"),
    [
        ("@dvorak!", [1], "@dvorak"),
        ("@DVOR\u030cA\u0301K", [1], "@DVOR\u030cA\u0301K"),
        ("@Sean O’Brien's", [2], "@Sean O’Brien"),
        ("@sean\u00a0o`brien", [2], "@sean&nbsp;o`brien"),
        ("@STRAUSS, hello", [3], "@STRAUSS"),
        ("@Strauss-Kahn", [3], "@Strauss"),
        ("@Straus", None, ""),
        ("@Straussen", None, ""),
        ("@Ines", [4, 6], "@Ines"),
        ("@Inês", [5], "@Inês"),
        ("@Ine\u0302s", [5], "@Ine\u0302s"),
        ("@Inès", [4, 5, 6], "@Inès"),  # none is spelt so
        ("@José", [7], "@José"),
        ("@JOSE", [7], "@JOSE"),
        ("@isik", [8], "@isik"),
        ("@lukasz ae.", [9], "@lukasz ae"),
        ("@Ｌｕｋａｓｚ　Æ", [9], "@Ｌｕｋａｓｚ　Æ"),
        ("@\u1100\u1161\u11a8", [10], "@\u1100\u1161\u11a8"),
        ("@가", None, ""),
        ("@か\u3099", [11], "@か\u3099"),
        ("@か", None, ""),
        ("@No\u00adël\u200b.", [12], "@No\u00adël"),  # what is invisible comes with pasted text
        ("@noel", [12, 13], "@noel"),
        ("@", None, ""),
        ("@\u0301 @", None, ""),
    ],
)
def test_a_name_is_a_mention_however_it_is_typed(text: str, mentioned: list[int] | None, marked: str) -> None:
    body = prepare(text, SPELT)
    assert body.mentioned == set(mentioned or [])
    assert re.findall(r'data-member="[\d ]+">(.*?)</span>', body.html) == ([marked] if mentioned else [])


@pytest.mark.django_db
@pytest.mark.parametrize("typed", ["@Dvořák", "@dvorak", "@DVOR\u030cA\u0301K"])
def test_a_name_is_stored_as_a_mention_however_it_is_typed(cast: Cast, typed: str) -> None:
    Member.objects.filter(pk=cast.bob.pk).update(name="Dvořák")
    assert mentioned(cast.payments) == set()
    post(cast.payments, cast.alice, f"Hello {typed}, have a look")
    assert mentioned(cast.payments) == {(1, "Dvořák")}


@pytest.mark.parametrize("piece", ["@", "@\u0301", "@Ann", "@Ann\u0301", "@Ann Le", "@A*B* [x](y)", "\u0301"])
def test_no_text_full_of_beginnings_takes_long_to_render(piece: str) -> None:
    text = ("@" + piece * 10_000)[:10_000]
    started = time.process_time()
    prepare(text, PEOPLE)
    assert time.process_time() - started < 1


def test_a_mention_is_displayed_as_it_was_typed() -> None:
    assert prepare("Dear @bob o’brien & søn!", PEOPLE).html == (
        '<p dir="auto">Dear <span class="mention" data-member="3">@bob o’brien &amp; søn</span>!</p>\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        '<span class="mention" data-member="1">@Ann</span>',
        '@Maria Silva <span class="mention" data-member="1">@Zoe</span>',
        "<span class=mention data-member='1'>",
        '[x](http://x.example "data-member=1")',
        '@Maria Silva" data-member="1',
        "```mention\nx\n```",
        '&lt;span class="mention"&gt;',
        "<b>@Zoe</b>",
    ],
)
def test_typed_html_cannot_forge_a_mention(text: str) -> None:
    assert mentions_in(prepare(text, PEOPLE).html) <= {"1", "4 5"}
    assert mentions_in(prepare(text, {"Maria Silva": MARIAS}).html) <= {"4 5"}
    assert mentions_in(prepare(text).html) == set()


class _Spans(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.open = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "span":
            attributes = dict(attrs)
            assert set(attributes) == {"class", "data-member"}
            assert attributes["class"] == "mention"
            self.found.add(attributes["data-member"] or "")
        else:
            assert not {"class", "data-member"} & {name for name, _ in attrs}


def mentions_in(html: str) -> set[str]:
    """The ids in the mentions of some HTML. Fails if any other element looks like a mention."""
    return _Spans(html).found


PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "@",
                "@Ann",
                "Ann",
                "@Ann Lee",
                "@Maria Silva",
                "王芳",
                "@王芳",
                "@A*B* [x](y) `z`",
                "@Zoe",
                " ",
                "\n",
                "\n\n",
            ),
            *(
                "> ",
                "- ",
                "`",
                "```\n",
                "*",
                "**",
                "_",
                "[",
                "](x)",
                "\\",
                "<",
                ">",
                '"',
                "'",
                "&",
                "&#64;",
                "&lt;",
                "|",
                "|-|\n",
            ),
            *(
                '<span class="mention" data-member="1">',
                "</span>",
                'data-member="9"',
                "https://x.example/",
                "x",
                "é",
                "#",
            ),
        ]
    ),
    max_size=30,
).map("".join)


@given(text=PIECES | st.text(max_size=60))
@example(text="`@Ann")
@example(text="[@Ann](x) @Ann")
@settings(max_examples=400, deadline=None)
def test_any_text_mentions_only_members_it_names(text: str) -> None:
    body = render(text, PEOPLE)
    rendered = mentions_in(body.html)
    assert rendered <= {" ".join(map(str, ids)) for ids in PEOPLE.values()}
    assert {int(pk) for ids in rendered for pk in ids.split()} == body.mentioned
    folded = fold(text).replace("&#64;", "@")
    named = {pk for name, ids in PEOPLE.items() if "@" + fold(name) in folded for pk in ids}
    assert body.mentioned <= named
    assert mentions_in(render(text).html) == set()
    assert '<span class="mention" data-member' not in shown_to(1, body.html)


def test_a_reader_sees_their_own_mentions_marked_and_no_ids() -> None:
    html = prepare("@Ann, @Maria Silva", PEOPLE).html
    own, other = '<span class="mention mention-own">', '<span class="mention">'
    assert shown_to(1, html) == f'<p dir="auto">{own}@Ann</span>, {other}@Maria Silva</span></p>\n'
    assert shown_to(5, html) == f'<p dir="auto">{other}@Ann</span>, {own}@Maria Silva</span></p>\n'
    assert shown_to(45, html).count(own) == 0


# -- Storage and marks -----------------------------------------------------------------------------------------------


def mentioned(topic: Topic) -> set[tuple[int, str]]:
    return set(Mention.objects.filter(topic=topic).values_list("sequence", "member__name"))


@pytest.mark.django_db
def test_mentions_are_stored_only_for_readers_of_the_topic_at_the_time_of_posting(cast: Cast) -> None:
    assert not cast.payments.readers().contains(cast.charlie), "or the test proves nothing"
    message = post(cast.payments, cast.alice, "@Bob Brandt, @Charlie Chen, @Erin Eklund and @Alice Almeida")
    assert mentioned(cast.payments) == {(1, "Bob Brandt")}  # the author is highlighted, but not stored
    assert set(re.findall(r'data-member="(\d+)"', message.body_html)) == {str(cast.bob.pk), str(cast.alice.pk)}
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    post(cast.payments, cast.alice, "Now @Charlie Chen")
    assert mentioned(cast.payments) == {(1, "Bob Brandt"), (2, "Charlie Chen")}


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["is_active", "user"])
def test_deactivated_members_cannot_be_mentioned(cast: Cast, state: str) -> None:
    if state == "user":
        type(cast.bob.user).objects.filter(pk=cast.bob.user_id).update(is_active=False)
    else:
        Member.objects.filter(pk=cast.bob.pk).update(is_active=False)
    assert "mention" not in post(cast.payments, cast.alice, "@Bob Brandt").body_html
    assert mentioned(cast.payments) == set()


@pytest.mark.django_db
def test_all_members_who_share_a_name_are_mentioned(cast: Cast) -> None:
    twins = [make_member(cast.northwind, f"{first} x") for first in ("Maria1", "Maria2")]
    Member.objects.filter(pk__in=[twin.pk for twin in twins]).update(name="Maria Silva")
    save_group(cast.payroll, [cast.alice, cast.bob, *twins])
    post(cast.payments, cast.alice, "@maria silva")
    assert set(Mention.objects.values_list("member", flat=True)) == {twin.pk for twin in twins}


@pytest.mark.django_db
def test_a_retried_post_is_stored_with_its_mentions_once(cast: Cast) -> None:
    client_id = uuid4()
    for _ in range(2):
        post_message(cast.payments.pk, cast.alice, "@Bob Brandt and again @Bob Brandt", client_id)
    assert mentioned(cast.payments) == {(1, "Bob Brandt")}


@pytest.mark.django_db
def test_an_edit_replaces_the_mentions_and_a_removal_deletes_them(cast: Cast) -> None:
    carol = make_member(cast.northwind, "Carol Cruz")
    save_group(cast.payroll, [cast.alice, cast.bob, carol])
    message = post(cast.payments, cast.alice, "@Bob Brandt, the bonus")
    assert mentioned(cast.payments) == {(1, "Bob Brandt")}
    edit_message(cast.payments.pk, message.sequence, cast.alice, "@Carol Cruz and @Alice Almeida")
    assert mentioned(cast.payments) == {(1, "Carol Cruz")}, "authors cannot mention themselves"
    versions = sign_in(cast.bob).get(f"{TOPICS}topics/{cast.payments.pk}/messages/1/history/").content.decode()
    assert '<span class="mention mention-own">@Bob Brandt</span>' in versions
    assert '<span class="mention">@Carol Cruz</span>' in versions
    assert "data-member" not in versions
    remove_message(cast.payments.pk, message.sequence, cast.alice)
    assert mentioned(cast.payments) == set()


MARK = "You are mentioned in unread messages"
TOPICS = "/northwind/messenger/"


@pytest.mark.django_db
def test_the_topic_list_marks_an_unread_mention_until_it_is_read(cast: Cast) -> None:
    bob, alice = sign_in(cast.bob), sign_in(cast.alice)
    post(cast.payments, cast.alice, "Good morning")
    assert MARK not in bob.get(TOPICS).content.decode()
    message = post(cast.payments, cast.alice, "@Bob Brandt, have a look")
    post(cast.payments, cast.alice, "It is urgent")
    assert bob.get(TOPICS).content.decode().count(MARK) == 1
    assert MARK not in alice.get(TOPICS).content.decode()
    mark_read(cast.payments, cast.bob, message.sequence - 1)
    assert MARK in bob.get(TOPICS).content.decode()
    mark_read(cast.payments, cast.bob, message.sequence)
    assert MARK not in bob.get(TOPICS).content.decode()


@pytest.mark.django_db
def test_earlier_mentions_are_not_marked_as_unread_for_a_member_who_joins_again(cast: Cast) -> None:
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    post(cast.payments, cast.alice, "@Charlie Chen")
    save_group(cast.payroll, [cast.alice, cast.bob])
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    assert mentioned(cast.payments) == {(1, "Charlie Chen")}, "or the test proves nothing"
    assert MARK not in sign_in(cast.charlie).get(TOPICS).content.decode()


@pytest.mark.django_db
def test_mentions_cost_three_more_statements_whatever_the_size_of_the_group(cast: Cast) -> None:
    def cost(text: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            post(cast.payments, cast.alice, text)
        return [query["sql"] for query in captured if not re.match("SAVEPOINT|RELEASE", query["sql"])]

    post(cast.payments, cast.alice)
    plain, few = cost("Nobody is meant"), cost("@Bob Brandt and @Alice Almeida")
    crowd = [make_member(cast.northwind, f"crowd{number} Person") for number in range(20)]
    save_group(cast.payroll, [cast.alice, cast.bob, *crowd])
    many = cost(" ".join(f"@{member.name}" for member in crowd))
    assert len(few) == len(many) == len(plain) + 3, "the lock on the group, the query for who is named, and the insert"
    assert Mention.objects.count() == 21


# -- E-mails -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_mention_changes_neither_decision_nor_recipients(cast: Cast) -> None:
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    with_mentions, plain = make_topic(cast.payroll, "With mentions"), make_topic(cast.payroll, "Plain")
    for topic in (with_mentions, plain):
        set_muted(topic, cast.charlie, muted=True)
    outcomes = []
    for topic, text in ((with_mentions, "@Bob Brandt @Charlie Chen @Alice Almeida"), (plain, "Hello")):
        for _ in range(2):  # the second is within the interval
            outbox.fan_out(post(topic, cast.alice, text).pk)
        outcomes.append(
            (
                list(topic.messages.oldest_first().values_list("outcome", "reason", "addressees")),
                sorted(
                    Delivery.objects.filter(message__topic=topic).values_list(
                        "message__sequence", "member__name", "state", "reason"
                    )
                ),
            )
        )
    assert mentioned(with_mentions) >= {(2, "Bob Brandt"), (2, "Charlie Chen")}, "or the test proves nothing"
    assert mentioned(plain) == set()
    assert outcomes[0] == outcomes[1]
    assert [outcome for outcome, *_ in outcomes[0][0]] == ["email", "no_email"]
    assert ("Charlie Chen", "not_sent", "muted") in [row[1:] for row in outcomes[0][1]]
    assert not MailPreference.objects.exists()


@pytest.mark.django_db
def test_an_e_mail_with_the_text_contains_the_mentioned_name_and_no_id(cast: Cast) -> None:
    type(cast.northwind).objects.update(mail_detail=MailDetail.FULL_TEXT)
    outbox.fan_out(post(cast.payments, cast.alice, "Have a look, @Bob Brandt.").pk)
    outbox.deliver()
    [sent] = mail.outbox
    assert isinstance(sent, EmailMultiAlternatives)
    text, html = str(sent.body), str(sent.alternatives[0][0])
    assert "Have a look, @Bob Brandt." in text
    assert "@Bob Brandt" in html
    assert "data-member" not in html
