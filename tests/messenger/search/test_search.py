"""Which messages a search finds and in which order, what a page shows, and how the database is queried."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from common.database.prepared import PreparedSql, Statement
from messenger.groups.services import save_group
from messenger.markup.plain_text import plain_text
from messenger.messages.editing import edit_message, remove_message
from messenger.models import Message, MessengerGroup, Topic
from messenger.search import engine, time_buckets
from messenger.search import forms as search_forms
from messenger.search import scope as search_scope
from messenger.search.forms import OFFERED_TOPICS
from messenger.topics.listing import groups_of
from tenancy.models import Member
from tests.support.cast import Cast, make_group, make_member, make_topic, post, sign_in
from tests.support.search_page import has_hits, hits_in, wrong_fields_in
from tests.support.stage import Response, rolled_back

pytestmark = pytest.mark.django_db

PATH = "/northwind/messenger/search/"
EXAMPLES = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def search(client: Client, words: str, **fields: Any) -> Response:
    return client.get(PATH, {"q": words, **fields})


def found(response: Response) -> list[int]:
    """The ids of the messages on a page, in its order."""
    assert response.status_code == 200, response.status_code
    return hits_in(response.content.decode())


def scope_of(reader: Member) -> search_scope.Scope:
    return search_scope.Scope([group.pk for group in groups_of(reader)])


def finds(member: Member, words: str, **fields: Any) -> list[int]:
    return found(search(sign_in(member), words, **fields))


# -- Access ---------------------------------------------------------------------------------------------------


def test_each_search_applies_the_access_rule(cast: Cast) -> None:
    post(cast.payments, cast.alice, "Bonuses are due")
    assert len(finds(cast.bob, "bonuses")) == 1
    save_group(cast.payroll, [cast.alice])
    save_group(cast.benefits, [cast.mallory, cast.bob])
    assert finds(cast.bob, "bonuses") == []
    Topic.objects.filter(pk=cast.payments.pk).update(is_active=False)
    assert finds(cast.alice, "bonuses") == []


@pytest.mark.parametrize("offered", [0, 200])
def test_many_topics_give_the_same_hits_as_few(cast: Cast, monkeypatch: pytest.MonkeyPatch, offered: int) -> None:
    finds(cast.bob, "bonuses")  # compiles the statement with the real number, once and for all
    monkeypatch.setattr(search_forms, "OFFERED_TOPICS", offered)
    topics = [cast.payments, *(make_topic(cast.payroll, f"Topic {number}") for number in range(3))]
    mine = [post(topic, cast.alice, "Bonuses are due").pk for topic in topics]
    post(cast.pensions, cast.mallory, "Bonuses are due")
    post(cast.secrets, cast.erin, "Bonuses are due")
    assert finds(cast.bob, "bonuses") == mine[::-1]
    assert finds(cast.bob, "bonuses", author="alice") == mine[::-1]
    assert finds(cast.bob, "bonuses", topic=topics[1].pk) == [mine[1]]


# -- Words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("The wages of May", "WAGES"),
        ("Überstunden für Müller", "uberstunden muller"),
        ("Uberstunden", "überstunden"),
        ("Straße", "strasse"),
        ("Wynagrodzenie: Łódź", "lodz"),
        ("Café", "Cafe\u0301"),
        ("Cafe\u0301", "café"),
        ("Зарплата за май", "зарплата"),
        ("Μισθοδοσία", "μισθοδοσια"),
        ("كشوف المرتبات", "المرتبات"),
        ("給与計算 です", "給与計算"),
        ("給与計算です", "給与計算"),
        ("वेतन पर्ची", "वेतन"),
        ("Payroll run", "payr"),
        ("INV-4711 is open", "4711"),
        ("INV-4711 is open", "inv-4711"),
        ("wages/salaries", "salaries"),
        ("All done.Next please", "next"),
        ("ask alice@example.com", "example"),
        ("ask alice@example.com", "alice@example.com"),
        ("<b>bold</b> & plain", "bold plain"),
        ("Total 1.234,56", "1.234,56"),
        ("net wages due", '"net wages"'),
        ("net wages due", "„net wages“"),
        ("net wages due", "gross or wages"),
        ("net wages due", "wages -gross"),
        ("net wages due", '"net wages'),
    ],
)
def test_a_message_is_found_by_its_words(cast: Cast, body: str, words: str) -> None:
    message = post(cast.payments, cast.alice, body)
    post(cast.payments, cast.alice, "Something else entirely")
    assert finds(cast.bob, words) == [message.pk]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("wages, net", '"net wages"'),
        ("net wages and gross wages", "wages -gross"),
        ("net wages", 'wages -"net wages"'),
        ("net wages", "net bonus"),
        ("payroll", "pa"),  # too short for a prefix
        ("payroll run", "payr run"),  # only the last word may be a prefix
        ("payroll", '"payr"'),
        ("4711 INV", "INV-4711"),
    ],
)
def test_a_message_that_does_not_match_is_not_found(cast: Cast, body: str, words: str) -> None:
    message = post(cast.payments, cast.alice, body)
    assert finds(cast.bob, body.split(",")[0].split()[0]) == [message.pk], "or the test proves nothing"
    assert finds(cast.bob, words) == []


@pytest.mark.parametrize(
    "words", ["-", "--", "...", "-wages", '""', '"', "🎉", "&|!", ":*", "'", "\u200b", "-a -b", "﷽"]
)
def test_a_text_without_a_word_shows_an_explanation(cast: Cast, words: str) -> None:
    post(cast.payments, cast.alice, "wages")
    response = search(sign_in(cast.bob), words)
    assert response.status_code == 200
    assert "at least one word" in response.content.decode()


def test_an_empty_text_shows_what_a_search_finds(cast: Cast) -> None:
    for words in ("", "   ", "\t"):
        response = search(sign_in(cast.bob), words)
        assert response.status_code == 200
        assert "Enter one or more words to search the messages in your topics." in response.content.decode()


def test_a_text_that_is_too_long_is_an_error_of_its_field(cast: Cast) -> None:
    for words in ("x" * 10_000, "é " * 5_000):
        response = search(sign_in(cast.bob), words)
        assert response.status_code == 422
        assert wrong_fields_in(response.content.decode()) == {"q"}


@pytest.mark.parametrize("words", ["﷽" * 200, "𝔘" * 200, "x" * 200, "a " * 100, '" ' * 100, "-(a|b)&!c:*<->d\\ '"])
def test_the_longest_texts_and_the_operators_of_the_query_language_are_harmless(cast: Cast, words: str) -> None:
    assert search(sign_in(cast.bob), words).status_code == 200


def test_a_nul_in_the_query_is_refused(cast: Cast) -> None:
    assert sign_in(cast.bob).get(f"{PATH}?q=a%00b").status_code == 400


@EXAMPLES
@given(body=st.text("ab <>&'\"\ue000\ue001é-\n/", min_size=1, max_size=400))
def test_an_excerpt_is_escaped_text_of_the_message(cast: Cast, body: str) -> None:
    with rolled_back():
        message = post(cast.payments, cast.alice, f"needle {body}")
        (hit,) = engine.find(cast.bob, "needle", scope_of(cast.bob)).hits
    assert hit.pk == message.pk
    assert set(re.findall(r"<[^>]*>", hit.excerpt)) <= {"<mark>", "</mark>"}
    text = unescape(hit.excerpt.replace("<mark>", "").replace("</mark>", ""))
    assert plain_text(message.body_html).startswith(text.removesuffix(" …"))


@pytest.mark.parametrize(
    ("words", "body", "expected"),
    [
        ("wages", "**Wages** and *bonus*", "<mark>Wages</mark> and bonus"),
        (
            '"wages"',
            "Pay the **wages**, wages_2026 and wageslip",
            "Pay the <mark>wages</mark>, <mark>wages</mark>_2026 and wageslip",
        ),
        ("bob", "|Name|Amount|\n|---|--:|\n|Bob|412|", "Name Amount <mark>Bob</mark> 412"),
        ("bonus", "# Title\n\n> quoted\n\n- the bonus\n- `code`", "Title quoted the <mark>bonus</mark> code"),
        ("file", "[The file](https://example.com/file_1) & <b>", "The <mark>file</mark> &amp; &lt;b&gt;"),
        ("example.com", "https://example.com/a", "https://<mark>example</mark>.<mark>com</mark>/a"),
        ("path", "[Here](https://example.com/path)", "Here"),
        ("löhne", "~~Lohne~~ and LÖHNE", "<mark>Lohne</mark> and <mark>LÖHNE</mark>"),
        ("inv", "INV-4711 ```x```", "<mark>INV</mark>-4711 x"),
    ],
)
def test_an_excerpt_is_plain_text_with_the_words_found_marked(cast: Cast, words: str, body: str, expected: str) -> None:
    post(cast.payments, cast.alice, body)
    (hit,) = engine.find(cast.bob, words, scope_of(cast.bob)).hits
    assert hit.excerpt == expected


# -- Hits ----------------------------------------------------------------------------------------------------------


def test_a_hit_shows_words_author_group_and_time_and_links_to_the_message(cast: Cast) -> None:
    User.objects.filter(pk=cast.bob.user_id).update(time_zone="Asia/Tokyo")
    post(cast.payments, cast.alice, "First")
    message = post(cast.payments, cast.alice, "<i>Die Löhne</i> & " + "so on " * 100 + "LOHNE again")
    Message.objects.filter(pk=message.pk).update(posted_at=datetime(2026, 3, 1, 20, 30, tzinfo=UTC))
    page = search(sign_in(cast.bob), "lohne").content.decode()
    assert f"/northwind/messenger/topics/{cast.payments.pk}/?at=2#message-2" in page
    assert "&lt;i&gt;Die <mark>Löhne</mark>&lt;/i&gt; &amp; so on" in page
    assert "LOHNE" not in page, "the excerpt ends before it"
    text = " ".join(strip_tags(page).split())
    assert "Payments processing Alice Almeida · 2 March 2026, 05:30 · Payroll" in text


def test_the_excerpt_begins_shortly_before_the_first_word_found(cast: Cast) -> None:
    post(cast.payments, cast.alice, "so on " * 1000 + "bonus" + " and more" * 400)
    (excerpt,) = re.findall(
        r'<p class="hit-text" dir="auto">(.*?)</p>', search(sign_in(cast.bob), "bonus").content.decode()
    )
    assert re.fullmatch(r"… (so on ){8,10}<mark>bonus</mark>( and more)+[ andmore]* …", excerpt), excerpt


def test_removed_messages_and_former_versions_are_not_found(cast: Cast) -> None:
    post(cast.payments, cast.alice, "wages")
    edited = post(cast.payments, cast.alice, "wages")
    assert len(finds(cast.bob, "wages")) == 2
    remove_message(cast.payments.pk, 1, cast.alice)
    edit_message(cast.payments.pk, 2, cast.alice, "salaries")
    assert finds(cast.bob, "wages") == []
    assert finds(cast.bob, "salaries") == [edited.pk]


def test_messages_of_authors_who_left_are_found_by_their_name(cast: Cast) -> None:
    message = post(cast.payments, cast.alice, "wages")
    post(cast.payments, cast.bob, "wages")
    save_group(cast.payroll, [cast.bob])
    assert finds(cast.bob, "wages", author="almeida") == [message.pk]
    assert finds(cast.bob, "wages", author="Nobody") == []


@pytest.mark.parametrize("author", ["dvorak", "Dvořák", "DVOR\u030cA\u0301K", "sean o’brien", "Ｏ'Brien", "o`brien-d"])
def test_authors_are_found_however_their_name_is_typed(cast: Cast, author: str) -> None:
    Member.objects.filter(pk=cast.alice.pk).update(name="Sean O'Brien-Dvořák")
    message = post(cast.payments, cast.alice, "wages")
    post(cast.payments, cast.bob, "wages")
    assert finds(cast.bob, "wages", author=author) == [message.pk]
    assert finds(cast.bob, "wages", author="obrien") == []


def test_group_and_topic_narrow_a_search_down(cast: Cast) -> None:
    save_group(cast.benefits, [cast.mallory, cast.bob])
    here, there = post(cast.payments, cast.alice, "wages"), post(cast.pensions, cast.mallory, "wages")
    assert finds(cast.bob, "wages") == [there.pk, here.pk]
    assert finds(cast.bob, "wages", group=cast.payroll.pk) == [here.pk]
    assert finds(cast.bob, "wages", topic=cast.pensions.pk) == [there.pk]
    response = search(sign_in(cast.bob), "wages", group=cast.payroll.pk, topic=cast.pensions.pk)
    assert response.status_code == 422


@pytest.mark.parametrize(("zone", "offset"), [("Asia/Tokyo", 9), ("UTC", 0), ("America/New_York", -5)])
def test_days_begin_and_end_in_the_readers_time_zone(cast: Cast, zone: str, offset: int) -> None:
    User.objects.filter(pk=cast.bob.user_id).update(time_zone=zone)
    midnight = datetime(2026, 1, 15, tzinfo=UTC) - timedelta(hours=offset)
    moments = [midnight - timedelta(microseconds=1), midnight, midnight + timedelta(days=1, microseconds=-1),
               midnight + timedelta(days=1)]  # fmt: skip
    before, first, last, after = messages = [post(cast.payments, cast.alice, "wages").pk for _ in moments]
    for pk, moment in zip(messages, moments, strict=True):
        Message.objects.filter(pk=pk).update(posted_at=moment)
    assert finds(cast.bob, "wages", since="2026-01-15", until="2026-01-15") == [last, first]
    assert finds(cast.bob, "wages", since="2026-01-15") == [after, last, first]
    assert finds(cast.bob, "wages", until="2026-01-15") == [last, first, before]


def test_the_first_and_last_days_of_the_calendar_are_valid_and_reversed_days_are_an_error(cast: Cast) -> None:
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
        User.objects.filter(pk=cast.bob.user_id).update(time_zone=zone)
        message = post(cast.payments, cast.alice, "wages")
        assert message.pk in finds(cast.bob, "wages", since="0001-01-01", until="9999-12-31")
    for fields in ({"since": "2026-02-02", "until": "2026-02-01"}, {"since": "2026-02-30"}, {"until": "soon"}):
        assert search(sign_in(cast.bob), "wages", **fields).status_code == 422


# -- Pages -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PAGE_LENGTH", 3)
    monkeypatch.setattr(engine, "SCAN_LENGTH", 5)


def pages(member: Member, words: str) -> Iterator[list[int]]:
    client, fields = sign_in(member), dict[str, str]()
    while True:
        response = search(client, words, **fields)
        yield found(response)
        link = re.search(r'href="\?([^"]*older=[^"]*)"', response.content.decode())
        if link is None:
            return
        fields = {"older": link[1].partition("older=")[2]}


@settings(EXAMPLES, max_examples=25)
@given(data=st.data())
def test_pages_are_complete_without_duplicates_and_newest_first(
    cast: Cast, short_pages: None, data: st.DataObject
) -> None:
    with rolled_back():
        second = make_topic(cast.payroll, "Second")
        spread = st.sampled_from([1, 3600, 86_400, 30 * 86_400, 400 * 86_400])  # ties, and years without a message
        drawn = data.draw(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 4), spread), max_size=25))
        wanted = []
        for in_second, matches, number, seconds in drawn:
            text = "wages are due" if matches else "wageless"
            message = post(second if in_second else cast.payments, cast.alice, text)
            post(cast.pensions, cast.mallory, "wages are due")
            moment = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(
                seconds=number * seconds
            )  # in another order than the ids
            Message.objects.filter(pk=message.pk).update(posted_at=moment)
            if matches:
                wanted.append((moment, message.pk))
        # A whole word, and a frequent prefix, with which the index looks up only the other word.
        result = list(pages(cast.bob, data.draw(st.sampled_from(["wages", "due wag"]))))
    assert [pk for page in result for pk in page] == [pk for _, pk in sorted(wanted, reverse=True)]
    assert all(len(page) == 3 for page in result[:-1])


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
AGO = st.one_of(
    st.integers(0, 90),  # a burst
    st.integers(0, 6 * 3600),
    st.sampled_from([86_400, 3 * 86_400, 90 * 86_400, 3 * 365 * 86_400]).flatmap(
        lambda start: st.integers(start, start + 300)
    ),
).map(lambda seconds: NOON - timedelta(seconds=seconds))


@settings(EXAMPLES, max_examples=40)
@given(data=st.data())
def test_a_search_that_is_narrowed_down_is_complete_and_newest_first(
    cast: Cast, short_pages: None, data: st.DataObject
) -> None:
    with rolled_back():
        topics = [cast.payments, make_topic(cast.payroll, "Second"), cast.pensions]
        authors = [cast.alice, cast.bob]
        drawn = data.draw(
            st.lists(st.tuples(st.sampled_from(topics), st.sampled_from(authors), AGO, st.booleans()), max_size=25)
        )
        messages = list[tuple[Message, bool]]()
        for topic, author, moment, matches in drawn:
            body = "wages are due" if matches else "wageless, are due"
            message = Message(
                tenancy=cast.northwind, topic=topic, author=author, body=body, body_html="", client_id=uuid4(),
                sequence=1000 + len(messages), roster=1, revision=1, interval_minutes=30, outcome=Message.Outcome.EMAIL,
                posted_at=moment, renderer_version=1,
            )  # fmt: skip
            messages.append((message, matches))
        Message.objects.bulk_create(message for message, _ in messages)
        readable = [topic.pk for topic in topics[:2]]
        scope = search_scope.Scope(
            groups=[cast.payroll.pk],
            topics=data.draw(st.one_of(st.none(), st.lists(st.sampled_from(readable), unique=True))),
            authors=data.draw(
                st.one_of(st.none(), st.lists(st.sampled_from([author.pk for author in authors]), unique=True))
            ),
            since=data.draw(st.one_of(st.none(), AGO)),
            until=data.draw(st.one_of(st.none(), AGO)),
        )
        words, finds_all = data.draw(
            st.sampled_from(
                [("wages -wageless", False), ("wages are", False), ("due wag", True), ('"wages are"', False)]
            )
        )
        wanted = [
            (message.posted_at, message.pk)
            for message, matches in messages
            if (matches or finds_all)
            and message.topic_id in (readable if scope.topics is None else scope.topics)
            and (scope.authors is None or message.author_id in scope.authors)
            and (scope.since is None or message.posted_at >= scope.since)
            and (scope.until is None or message.posted_at < scope.until)
        ]
        result, before = list[int](), None
        for _ in range(len(messages) + 1):
            page = engine.find(cast.bob, words, replace(scope, before=before))
            result += [hit.pk for hit in page.hits]
            before = page.next
            if before is None:
                break
    assert result == [pk for _, pk in sorted(wanted, reverse=True)]


@settings(EXAMPLES, max_examples=100)
@given(
    tenancy=st.integers(1, 2**31),
    seconds=st.floats(0, 4e9),
    length=st.timedeltas(timedelta(), timedelta(days=5000)),
)
def test_the_buckets_of_a_time_range_agree_with_those_in_the_index(
    cast: Cast, tenancy: int, seconds: float, length: timedelta
) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    with connection.cursor() as cursor:
        cursor.execute("SELECT messenger_places(%s, 5, 6, %s)", [tenancy, moment])
        (stored,) = cursor.fetchone()
    assert len(set(stored)) == 8
    for since, until in ((moment, moment), (moment - length, moment), (moment, moment + length)):
        assert set(time_buckets.of_time(tenancy, since, until)) & set(stored)
        assert not set(time_buckets.of_time(tenancy + 1, since, until)) & set(stored)
    until = moment + length
    covered_since = time_buckets.covered_since(until - timedelta(days=1), until)
    assert covered_since <= until - timedelta(days=1)
    buckets = time_buckets.of_time(tenancy, until - timedelta(days=1), until)
    with connection.cursor() as cursor:
        cursor.execute("SELECT messenger_places(%s, 5, 6, %s)", [tenancy, covered_since])
        assert set(buckets) & set(cursor.fetchone()[0]), "from this moment on they contain all messages"
        cursor.execute("SELECT messenger_places(%s, 5, 6, %s)", [tenancy, covered_since - timedelta(microseconds=1)])
        assert not set(buckets) & set(cursor.fetchone()[0]), "and none before it"
    far = timedelta(days=1 + 2**25 // 86_400)
    if length < timedelta(days=2000):
        assert not set(time_buckets.of_time(tenancy, moment + far, moment + far + length)) & set(stored)
    others = time_buckets.of_tenancy(tenancy) + time_buckets.of_topics([5]) + time_buckets.of_authors([6])
    assert set(others) <= set(stored)


def test_an_invalid_cursor_is_not_found(cast: Cast) -> None:
    client = sign_in(cast.bob)
    for older in ("", "x", "1", "1-", "-1", "1-x", "1-2-3", "²-1", "9" * 18 + "-1", "1.5-2"):
        assert search(client, "wages", older=older).status_code == 404, older
    assert search(client, "wages", older="9" * 17 + "-" + "9" * 17).status_code == 200


# -- Time ------------------------------------------------------------------------------------------------------------


SLOW = PreparedSql("test_slow", "SELECT pg_sleep(5) WHERE $3 <> '{}'", "bigint[]", "text", "bigint[]")


def test_a_search_that_takes_too_long_is_stopped_with_an_explanation(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(cast.payments, cast.alice, "wages")
    monkeypatch.setattr(search_scope, "TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(engine, "MARKED", SLOW)
    response = search(sign_in(cast.bob), "wages")
    assert response.status_code == 200
    assert "took too long and was stopped" in response.content.decode()
    assert not has_hits(response.content.decode())
    monkeypatch.undo()
    assert len(finds(cast.bob, "wages")) == 1, "the connection is as good as before"


def test_all_statements_of_a_search_share_one_time_limit(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    post(cast.payments, cast.alice, "wages")
    limits = list[int]()

    def slowly(statement: Statement, milliseconds: int, *values: Any) -> list[tuple[Any, ...]]:
        limits.append(milliseconds)
        time.sleep(0.03)
        return statement(*values)

    monkeypatch.setattr(Statement, "within", slowly)
    assert len(finds(cast.bob, "wages")) == 1
    assert len(limits) > 1
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] < limits[0]
    monkeypatch.setattr(search_scope, "TIMEOUT_SECONDS", 0.02)
    assert "took too long" in search(sign_in(cast.bob), "wages").content.decode()


def test_the_time_limit_of_a_statement_ends_with_it(transactional_db: None) -> None:
    statement = PreparedSql("test_time_limit", "SELECT current_setting('statement_timeout')")
    assert statement.within(1234) == [("1234ms",)]
    assert statement() == [("0",)]


def test_a_search_makes_the_same_few_statements_however_many_messages_there_are(cast: Cast) -> None:
    client = sign_in(cast.bob)
    counts = set()
    for _ in range(3):
        for _ in range(12):
            post(make_topic(cast.payroll, f"Topic {Topic.objects.count()}"), cast.alice, "wages")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert found(search(client, "wages"))
        counts.add(len([query for query in queries if "SAVEPOINT" not in query["sql"]]))
    assert max(counts) <= 9, counts
    assert max(counts) - min(counts) <= 2, "a full page needs neither a sample nor the index"


def test_fields_and_hits_are_rendered_without_templates(cast: Cast) -> None:
    client = sign_in(cast.bob)
    for number in range(3):
        post(cast.payments, cast.alice, f"wages {number}")
    search(client, "wages")
    response = search(client, "wages 2")
    assert has_hits(response.content.decode())
    rendered = sorted(template.name for template in response.templates if template.name.startswith("messenger/"))
    # One rendering of each, by tests/conftest.py, which compares it with the page that was filled in.
    assert rendered == ["messenger/search/_search_field.html", "messenger/search/search.html"]


@pytest.fixture
def many_messages(cast: Cast) -> MessengerGroup:
    """20,000 of Alice's messages: one of 1,000 contains "rarity", one of 250 "seldom"."""
    group = make_group(cast.northwind, "Large", cast.alice)
    topic = make_topic(group, "Long")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messenger_message (tenancy_id, topic_id, sequence, author_id, client_id, body, body_html, "
            "renderer_version, posted_at, roster, revision, outcome, reason, interval_minutes, removal_reason) "
            "SELECT %s, %s, n, %s, gen_random_uuid(), CASE WHEN n %% 1000 = 0 THEN 'rarity ' ELSE '' END "
            "|| CASE WHEN n %% 250 = 0 THEN 'seldom ' ELSE '' END "
            "|| 'frequent ' || n, "
            "'', 1, now() - (20000 - n) * interval '1 minute', 0, 1, 'email', '', 30, '' "
            "FROM generate_series(1, 20000) n",
            [cast.northwind.pk, topic.pk, cast.alice.pk],
        )
        cursor.execute("ANALYZE messenger_message")
    return group


def plan_of(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(row[0] for row in cursor.fetchall())


def plans(reader: Member, words: str, scope: search_scope.Scope) -> list[str]:
    """The plans of those statements of a search that find messages by words."""
    with CaptureQueriesContext(connection) as queries:
        engine.find(reader, words, scope)
    return [plan_of(sql) for sql in executed(queries) if "EXECUTE search_" in sql]


def executed(queries: CaptureQueriesContext) -> list[str]:
    """The statements without the time limit before each."""
    return [re.sub(r"^SET LOCAL \S+ = \d+; ", "", query["sql"]) for query in queries]


@pytest.fixture
def planned_by_values() -> None:
    """Makes plans show the values of the parameters; in production there is one plan for all values."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan")


@pytest.mark.parametrize("names_topics", [True, False])
def test_rare_words_are_found_by_the_index_and_frequent_ones_by_the_scan(
    cast: Cast, many_messages: MessengerGroup, *, names_topics: bool
) -> None:
    scope = scope_of(cast.alice)
    if names_topics:
        scope = replace(scope, topics=list(Topic.objects.visible_to(cast.alice).values_list("pk", flat=True)))
    (scan,) = plans(cast.alice, "frequent", scope)
    assert "message_newest_of_tenancy" in scan
    assert "Sort" not in scan, "the index has this order"
    assert "Seq Scan on messenger_message" not in scan
    scan, *lookups = plans(cast.alice, "rarity", scope)
    assert "message_newest_of_tenancy" in scan
    assert lookups
    for lookup in lookups:
        assert "Bitmap Index Scan on message_search" in lookup
        assert "BitmapAnd" not in lookup, "no other index is read"
        assert "Seq Scan on messenger_message" not in lookup
    assert len(finds(cast.alice, "rarity")) == 20


@pytest.mark.usefixtures("planned_by_values")
def test_a_frequent_prefix_is_checked_in_what_the_index_finds_by_the_other_words(
    cast: Cast, many_messages: MessengerGroup
) -> None:
    for words, indexed, filtered in (("rarity frequ", "rarity", "frequ"), ("frequent rari", "rari", "")):
        _scan, *lookups = plans(cast.alice, words, scope_of(cast.alice))
        assert lookups
        for lookup in lookups:
            (by_index,) = re.findall(r"Index Cond: (.*messenger_places.*)", lookup)
            assert indexed in by_index
            assert not filtered or (filtered in lookup and filtered not in by_index)
    assert len(finds(cast.alice, "rarity frequ")) == len(finds(cast.alice, "frequent rari")) == 20


def test_the_index_returns_no_more_than_a_few_pages_of_hits(cast: Cast, many_messages: MessengerGroup) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert len(engine.find(cast.alice, "seldom", scope_of(cast.alice)).hits) == 20
    (fetched,) = rows_fetched_by(queries)
    assert 20 < fetched < 50, "of the 80 that exist"


def test_after_a_sudden_burst_not_all_hits_are_fetched(cast: Cast, many_messages: MessengerGroup) -> None:
    add_burst(many_messages)
    with CaptureQueriesContext(connection) as queries:
        assert len(engine.find(cast.alice, "seldom", scope_of(cast.alice)).hits) == 20
    first, second, *_ = lookups_in(queries)
    assert "-infinity" not in first
    assert "-infinity" not in second, "the first range is too short for a hit, yet the second is not everything"


def test_messages_before_a_silence_are_found_by_the_first_lookup(cast: Cast, many_messages: MessengerGroup) -> None:
    add_burst(many_messages)
    with CaptureQueriesContext(connection) as queries:
        assert len(engine.find(cast.alice, "frequent", scope_of(cast.alice)).hits) == 20
    (fetched,) = rows_fetched_by(queries)
    assert 20 < fetched < 300, "of the 20,000 that exist"


def add_burst(group: MessengerGroup) -> None:
    """Adds 6,000 messages within a minute, a day after all others."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messenger_message (tenancy_id, topic_id, sequence, author_id, client_id, body, body_html, "
            "renderer_version, posted_at, roster, revision, outcome, reason, interval_minutes, removal_reason) "
            "SELECT tenancy_id, topic_id, 20000 + sequence, author_id, gen_random_uuid(), 'burst', '', 1, "
            "now() + interval '1 day' + sequence * interval '10 ms', 0, 1, 'email', '', 30, '' "
            "FROM messenger_message WHERE sequence <= 6000 AND topic_id = %s",
            [group.topics.get().pk],
        )


def lookups_in(queries: CaptureQueriesContext) -> list[str]:
    return [sql for sql in executed(queries) if "EXECUTE search_looked_up" in sql]


def rows_fetched_by(queries: CaptureQueriesContext) -> list[int]:
    """How many messages each lookup found by the index."""
    found = []
    for sql in lookups_in(queries):
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT json) {sql}")
            (plan,) = cursor.fetchone()[0]
        scan = next(node for node in nodes(plan["Plan"]) if node["Node Type"] == "Bitmap Heap Scan")
        found.append(int(scan["Actual Rows"]))
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def test_the_models_do_not_load_the_search_column(cast: Cast) -> None:
    with CaptureQueriesContext(connection) as queries:
        message = post(cast.payments, cast.alice, "wages")
        Message.objects.get(pk=message.pk)
    written = [query["sql"] for query in queries if "messenger_message" in query["sql"]]
    assert written
    assert not [sql for sql in written if '"search"' in sql]


# -- Entry points -----------------------------------------------------------------------------------------------------


def test_the_topic_list_passes_its_words_to_the_search_and_a_thread_its_topic(cast: Cast) -> None:
    client = sign_in(cast.bob)
    listed = client.get("/northwind/messenger/?q=wages").content.decode()
    assert f'formaction="{PATH}"' in listed
    assert f'href="{PATH}?q=wages"' in listed, "if no topic matches"
    thread = client.get(f"/northwind/messenger/topics/{cast.payments.pk}/").content.decode()
    assert f'href="{PATH}?topic={cast.payments.pk}"' in thread
    form = client.get(PATH, {"topic": cast.payments.pk}).content.decode()
    assert f'<option value="{cast.payments.pk}" selected>' in form


def test_of_very_many_topics_the_form_offers_the_latest_and_the_chosen_one(cast: Cast) -> None:
    topics = [make_topic(cast.payroll, f"Topic {number:03}") for number in range(OFFERED_TOPICS + 2)]
    page = sign_in(cast.bob).get(PATH, {"topic": topics[0].pk}).content.decode()
    (_, *offered) = re.findall(
        r"<option[^>]*>([^<]*)</option>", page.partition('name="topic"')[2].partition("</select>")[0]
    )
    assert offered == [topic.name for topic in (topics[0], *topics[2:])]


def test_a_member_who_left_every_group_has_no_search(cast: Cast) -> None:
    make_member(cast.northwind, "Olga Orlova")
    save_group(cast.payroll, [cast.alice])
    assert search(sign_in(cast.bob), "wages").status_code == 404
