"""Every sentence that the interface or a mail says goes through gettext; dates and numbers are the reader's own.

The pages are rendered in a pseudo-language (tests/support/pseudo_translation.py): whatever keeps its plain
letters there is somebody's data, or was forgotten.
"""

import ast
import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import pytest
from django.conf import settings
from django.core import mail
from django.db import connection
from django.db.models import AutoField, BigAutoField
from django.template import Context, Template
from django.template.base import Lexer, TokenType
from django.utils import timezone, translation

from accounts.models import User
from accounts.passwords import note_reset_request, send_resets
from common.templatetags.interface import initials
from messenger.messages import rendering
from messenger.models import Delivery, Message, MessageVersion, MessengerGroup, ReadPosition, Topic
from messenger.notifications.catch_up.digest import unread_topics_of
from messenger.notifications.catch_up.mail import catch_up_mail
from messenger.notifications.explanations import forecast_text
from messenger.notifications.explanations.forecast import Forecast
from messenger.notifications.explanations.wording import NOTHING_MISSING, forecast_in_words, outcome_in_words
from messenger.notifications.monitoring.smtp_check import build_test_mail
from messenger.tasks import notify_members
from tenancy.invitations import send_due_invitations
from tenancy.models import Invitation, MailDetail, Member, Tenancy
from tests.messenger.test_access_matrix import GET, ONLY_READ, POST
from tests.support.cast import make_group, post
from tests.support.pseudo_translation import Saying, forgotten, parse_result, sayings_of, spoken_everywhere
from tests.support.stage import Response, Stage, set_stage, tables, undone

ZONES = available_timezones()
NAMES = (
    "IPPEX Cloud Messenger",  # the product's own
    "messenger@localhost",  # whom mails are from
    *ZONES,
    *(zone.replace("_", " ") for zone in ZONES),
    *(place.replace("_", " ") for zone in ZONES for place in zone.split("/")[1:]),
)
KEYS = frozenset("jkmnqret")  # as they stand on the keyboard


def data() -> set[str]:
    """What people called things, and what they wrote."""
    found = set()
    for model, *fields in (
        (Tenancy, "name"),
        (Member, "name"),
        (User, "email"),
        (MessengerGroup, "name", "description"),
        (Topic, "name"),
        (Message, "body"),
        (MessageVersion, "body"),
        (Invitation, "name", "email"),
    ):
        for row in model.objects.values_list(*fields):  # type: ignore[attr-defined]
            found.update(row)
    people = (Member.objects.values_list("name", flat=True), Invitation.objects.values_list("name", flat=True))
    return found | {initials(name) for names in people for name in names}


def said_by(response: Response) -> list[Saying]:
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/csv"):
        heads = next(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
        return [Saying("head of a column", head) for head in heads]
    return sayings_of(response.content.decode()) if kind.startswith("text/html") else []


def forgotten_in(sayings: list[Saying], more_data: Iterable[str]) -> set[Saying]:
    keys = {Saying("text", key) for key in KEYS}
    return {*forgotten(sayings, [*data(), *more_data, *NAMES])} - keys


@pytest.fixture
def stage_in_words(stage: Stage) -> Iterator[Stage]:
    with spoken_everywhere():
        yield stage


ASKED = (
    "",
    "?format=csv",
    "?inactive=1",
    "?q=canary",
    "?q=nothing-like-it",
    "?status=inactive",
    "?quote=1",
    "?page=999",
)
READERS = ("stranger", "charlie", "bob", "alice", "dana", "erin")


@pytest.mark.parametrize("route", GET)
def test_a_page_says_nothing_that_is_not_translated(stage_in_words: Stage, route: str) -> None:
    found, path = set(), stage_in_words.path(route)
    for role in READERS:
        for query in ASKED:
            with undone():
                response = stage_in_words.client(role).get(path + query)
                said = said_by(response)
                found |= forgotten_in(said, ["nothing-like-it"]) | glued_in(said)
    assert not found


# A number and, not in one sentence with it, what is counted: other languages put it first, or bend it.
GLUED = re.compile(r"(?<![\d:.,⟦])\d+\+?\s+⟦[ａ-ｚ]")


def glued_in(sayings: list[Saying]) -> set[Saying]:
    return {Saying(where, parse_result(text)) for where, text in sayings if GLUED.search(text)}


def spoiled(form: dict[str, Any], value: str) -> dict[str, Any]:
    return {name: [] if isinstance(sent, list) else value for name, sent in form.items()}


@pytest.mark.parametrize("route", [route for route, answers in POST.items() if answers is not ONLY_READ])
def test_a_form_says_nothing_that_is_not_translated(stage_in_words: Stage, route: str) -> None:
    """Taken, left empty, and filled with what can't be."""
    form, found = stage_in_words.form(route), set()
    forms = (
        form,
        {**form, "confirmed": ""},
        {},
        *(spoiled(form, value) for value in ("x", "9" * 500, "x@example.com")),
    )
    for role in READERS:
        for sent in forms:
            with undone():
                typed = {*data(), *(value for value in sent.values() if isinstance(value, str))}
                response = stage_in_words.client(role).post(stage_in_words.path(route), sent, follow=True)
                found |= forgotten_in(said_by(response), typed)
    assert not found


# -- Mails -------------------------------------------------------------------------------------------------


def said_in(sent: Any) -> list[Saying]:
    html, _kind = sent.alternatives[0]
    text = [Saying("text", line) for line in sent.body.splitlines() if line.strip()]
    return [Saying("subject", sent.subject), *text, *sayings_of(html)]


@pytest.mark.parametrize("detail", MailDetail)
def test_a_mail_about_a_message_is_translated(stage_in_words: Stage, detail: MailDetail) -> None:
    people = stage_in_words.cast
    Tenancy.objects.filter(pk=people.northwind.pk).update(mail_detail=detail)
    Topic.objects.filter(pk=people.payments.pk).update(notification_interval=0)
    notify_members(post(people.payments, people.bob, "written").pk)
    assert [sent.to for sent in mail.outbox] == [[people.alice.user.email]]
    assert not forgotten_in(said_in(mail.outbox[0]), [])
    # Bob has read nothing, and was told of nothing.
    Message.objects.update(fanned_out_at=timezone.now())
    ReadPosition.objects.all().delete()
    Delivery.objects.all().delete()
    missed = unread_topics_of(people.bob)
    assert missed, "Alice wrote to him"
    assert not forgotten_in(said_in(catch_up_mail(people.bob, date(2026, 11, 22), missed)), [])


def test_invitations_password_resets_and_test_mails_are_translated(stage_in_words: Stage) -> None:
    send_due_invitations()
    note_reset_request(stage_in_words.cast.bob.user.email)
    send_resets()
    assert len(mail.outbox) == 3, "two invitations and a reset"
    for sent in (*mail.outbox, build_test_mail(stage_in_words.cast.dana)):
        assert not forgotten_in(said_in(sent), [])


# -- What no page of these shows ----------------------------------------------------------------------------

TEMPLATES = sorted((settings.BASE_DIR / "templates").rglob("*.*"))
SCRIPTS = sorted((settings.BASE_DIR / "static" / "js").glob("*.js"))
MODULES = sorted(
    path
    for app in ("accounts", "tenancy", "messenger", "ippex_messenger")
    for path in (settings.BASE_DIR / app).rglob("*.py")
    # What only whoever runs the product reads.
    if not {"migrations", "management", "demo", "embedded"} & set(path.parts) and path.name != "audit.py"
)
PLACE = "{place}"  # where a template puts something in
CLASSES = ("body_class", "page_class", "card_class")  # blocks within an attribute
A_WORD = re.compile(r"^[A-Z][a-z]|[a-z] [a-z]")


def own_words(template: Path) -> str:
    """A template without what it translates, all of its branches at once."""
    kept: list[str] = []
    skipped_until = ""
    for token in Lexer(template.read_text()).tokenize():
        first, _space, rest = token.contents.partition(" ")
        if token.token_type == TokenType.BLOCK and skipped_until:
            skipped_until = "" if first == skipped_until else skipped_until
        elif token.token_type == TokenType.BLOCK and (first == "blocktranslate" or rest in CLASSES):
            skipped_until = f"end{first}"
        elif token.token_type == TokenType.TEXT and not skipped_until:
            kept.append(token.contents)
        elif token.token_type == TokenType.VAR and not skipped_until:
            kept.append(PLACE)
        if token.token_type in (TokenType.BLOCK, TokenType.VAR) and first not in ("translate", "blocktranslate"):
            given = re.findall(r'(?<!_\()"([^"]*)"', token.contents)
            kept += [f"<p>{word}</p>" for word in given if A_WORD.search(word)]
    return "".join(kept)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(settings.BASE_DIR)))
def test_a_template_has_no_words_beside_those_that_it_translates(template: Path) -> None:
    keys = {Saying("text", key) for key in KEYS}
    assert not {*forgotten(sayings_of(own_words(template)), NAMES)} - keys


GETTEXT = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy", "translated"}
A_SENTENCE = re.compile(r"^[A-Z][a-z]+,? [a-z]|[a-z] [a-z]+ [a-z]+.*[.:?!]$", re.DOTALL)


def strings_of(node: ast.AST) -> Iterator[str]:
    """Those that are not translated, and neither a docstring, nor for a log, nor an exception that nobody is shown."""
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called in GETTEXT or called.startswith("log."):
            return
    if isinstance(node, ast.Raise) and not (node.exc and "ValidationError" in ast.unparse(node.exc)):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for inner in ast.iter_child_nodes(node):
        yield from strings_of(inner)


def test_no_module_holds_a_sentence_that_is_not_translated() -> None:
    translated = 'ngettext("A message.", "Some messages.", 2)'
    proof = ast.parse(f"def f():\n  {translated}\n  log.info('It went well.')\n  return 'It is not so.'")
    assert list(strings_of(proof)) == ["It is not so."], "or the test proves nothing"
    assert A_SENTENCE.search("It is not so.")
    found = {
        f"{path.relative_to(settings.BASE_DIR)}: {string}"
        for path in MODULES
        for string in strings_of(ast.parse(path.read_text()))
        if A_SENTENCE.search(string)
    }
    assert not found


WORDS_OF_A_SCRIPT = re.compile(
    # Two words that no selector joins; or anything that is put where it is read.
    r"""(["'`])(?P<sentence>[^"'`.#\[\]:>=()$]*[A-Za-z]{2,},? +[a-z][^"'`.#\[\]:>=()$]*)\1"""
    r"""|(?:textContent|innerText|title|alt|placeholder|ariaLabel)\s*=\s*["'`](?P<said>[^"'`]*[a-z][^"'`]*)["'`]"""
    r"""|(?:alert|confirm|prompt)\("""
)


COUNTS = "count|messages|people|users|topics|emails|failed|more|seconds|minutes|hours|days"
COUNTED = re.compile(rf"(\{{\{{ ({COUNTS}) \}}\}}|%\(({COUNTS})\)[ds]) +[a-z]")


def test_whatever_is_counted_has_a_plural() -> None:
    for template in TEMPLATES:
        for head, words in re.findall(
            r"\{% blocktranslate(.*?)%\}(.*?)\{% endblocktranslate %\}", template.read_text(), re.DOTALL
        ):
            assert " count " in head or not COUNTED.search(words), (template.name, words)
    for path in MODULES:
        for sentence in re.findall(r'(?<!\w)_\(\s*"(.*?)"\s*\)', path.read_text(), re.DOTALL):
            is_abbreviated = sentence in ("%(count)d d", "%(count)d h", "%(count)d min")
            assert is_abbreviated or not COUNTED.search(sentence), (path.name, sentence)
    assert COUNTED.search("%(count)s messages"), "or the test proves nothing"


def test_where_a_script_puts_a_number_in_nothing_depends_on_which() -> None:
    """It knows no plurals: “People found: 3” is right for each number, in each language."""
    sentences = [words for path in TEMPLATES for words in re.findall(r'"([^"]*%n[^"]*)"', path.read_text())]
    assert len(sentences) == 3
    for sentence in sentences:
        assert re.search(r": %n(\.|$)", sentence), sentence


def test_no_script_holds_a_sentence() -> None:
    """They take their words from data- attributes of the page."""
    for line in ('const sorry = "Please try again";', 'button.textContent = "Send";', "confirm(x)"):
        assert WORDS_OF_A_SCRIPT.search(line), "or the test proves nothing"
    found = {
        f"{path.name}: {match[0]}"
        for path in SCRIPTS
        for line in path.read_text().splitlines()
        if not line.strip().startswith(("//", "*", "/*"))
        for match in WORDS_OF_A_SCRIPT.finditer(line)
    }
    assert not found


# -- Dates and numbers -------------------------------------------------------------------------------------

MOMENT = datetime(2026, 11, 22, 14, 5, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "day", "clock"),
    [
        ("en-gb", "Sunday, 22 November 2026", "14:05"),
        ("en", "Sunday, Nov. 22, 2026", "2:05 p.m."),
        ("de", "Sonntag, 22. November 2026", "14:05"),
        ("fr", "dimanche, 22 novembre 2026", "14:05"),
    ],
)
def test_a_message_says_its_day_and_time_as_its_reader_writes_them(language: str, day: str, clock: str) -> None:
    with translation.override(language):
        assert rendering._day(MOMENT.date(), language) == day
        assert rendering._clock(14, 5, language) == clock


@pytest.mark.parametrize(
    ("language", "today", "tomorrow"),
    [
        ("en-gb", "14:05:03", "Sun 22 Nov, 14:05:03"),
        ("en", "2:05:03 p.m.", "Sun November 22, 2:05:03 p.m."),
        ("de", "14:05:03", "So 22. November, 14:05:03"),
        ("fi", "14.05.03", "su 22. marraskuu, 14.05.03"),
    ],
)
def test_a_forecast_says_the_moment_as_its_reader_writes_it(language: str, today: str, tomorrow: str) -> None:
    with translation.override(language):
        assert forecast_text._moment(MOMENT, MOMENT.date()) == today
        assert forecast_text._moment(MOMENT, MOMENT.date() - timedelta(days=1)) == tomorrow


@pytest.mark.parametrize(("language", "number"), [("en-gb", "12,345"), ("en", "12,345"), ("de", "12.345")])
def test_numbers_have_the_readers_separators(language: str, number: str) -> None:
    with translation.override(language):
        assert number in outcome_in_words("", 30, None, 12_345, NOTHING_MISSING)
        assert number in forecast_in_words(Forecast("", 12_345, None), 30, "")
        assert Template("{{ number }}").render(Context({"number": 12_345})) == number


def test_a_number_that_is_an_id_has_no_separators(db: None, settings: Any) -> None:
    settings.ACCOUNT_RATE_LIMITS = False
    with connection.cursor() as cursor:
        for model in tables():
            if isinstance(model._meta.pk, AutoField | BigAutoField):
                cursor.execute(f"ALTER TABLE {model._meta.db_table} ALTER COLUMN id RESTART WITH 1234567")
    stage = set_stage()
    for number in range(3):
        make_group(stage.cast.northwind, f"Group {number}", stage.cast.alice, stage.cast.bob)
    seen = 0
    for route, answers in GET.items():
        for role in ("bob", "alice", "dana"):
            if answers[role] == 200:
                with undone():
                    page = stage.client(role).get(stage.path(route) + "?q=canary").content.decode()
                for name, value in re.findall(r'([\w-]+)="([^"]*)"', page):
                    seen += "12345" in value
                    assert not re.search(r"\d,\d{3}", value) or name in ("title", "content", "aria-label"), (
                        route,
                        value,
                    )
                assert "1,234,5" not in page, route
    assert seen > 100, "or the test proves nothing"
