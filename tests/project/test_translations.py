"""Every sentence of the interface and of mails goes through gettext; dates and numbers have the reader's format.

Pages are rendered in a pseudo-language (tests/support/pseudo_translation.py). Text that keeps its plain letters is
data, or was not marked for translation.
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
from tests.support.pseudo_translation import PageText, pseudo_translation, readable, texts_of, untranslated
from tests.support.stage import Response, Stage, rolled_back, set_stage, tables

ZONES = available_timezones()
NAMES = (
    "IPPEX Cloud Messenger",  # the product's name
    "messenger@localhost",  # the sender of mails
    *ZONES,
    *(zone.replace("_", " ") for zone in ZONES),
    *(city.replace("_", " ") for zone in ZONES for city in zone.split("/")[1:]),
)
KEYS = frozenset("jkmnqret")  # keyboard shortcuts, as printed on the keys


def data() -> set[str]:
    """Everything in the database that people have written: names, addresses, messages."""
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


def texts_in(response: Response) -> list[PageText]:
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/csv"):
        heads = next(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
        return [PageText("head of a column", head) for head in heads]
    return texts_of(response.content.decode()) if kind.startswith("text/html") else []


def untranslated_in(texts: list[PageText], more_data: Iterable[str]) -> set[PageText]:
    keys = {PageText("text", key) for key in KEYS}
    return {*untranslated(texts, [*data(), *more_data, *NAMES])} - keys


@pytest.fixture
def translated_stage(stage: Stage) -> Iterator[Stage]:
    with pseudo_translation():
        yield stage


QUERIES = (
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
def test_every_text_of_a_page_is_translated(translated_stage: Stage, route: str) -> None:
    found, path = set(), translated_stage.path(route)
    for role in READERS:
        for query in QUERIES:
            with rolled_back():
                response = translated_stage.client(role).get(path + query)
                texts = texts_in(response)
                found |= untranslated_in(texts, ["nothing-like-it"]) | concatenated_in(texts)
    assert not found


# A number followed by a separately translated noun. Other languages may need another order or inflection.
CONCATENATED = re.compile(r"(?<![\d:.,⟦])\d+\+?\s+⟦[ａ-ｚ]")


def concatenated_in(texts: list[PageText]) -> set[PageText]:
    return {PageText(where, readable(text)) for where, text in texts if CONCATENATED.search(text)}


def with_values(form: dict[str, Any], value: str) -> dict[str, Any]:
    """The form with this value in every field; lists are emptied."""
    return {name: [] if isinstance(sent, list) else value for name, sent in form.items()}


@pytest.mark.parametrize("route", [route for route, answers in POST.items() if answers is not ONLY_READ])
def test_every_response_to_a_form_is_translated(translated_stage: Stage, route: str) -> None:
    """The form is sent with valid values, empty, and with invalid values."""
    form, found = translated_stage.form(route), set()
    forms = (
        form,
        {**form, "confirmed": ""},
        {},
        *(with_values(form, value) for value in ("x", "9" * 500, "x@example.com")),
    )
    for role in READERS:
        for sent in forms:
            with rolled_back():
                typed = {*data(), *(value for value in sent.values() if isinstance(value, str))}
                response = translated_stage.client(role).post(translated_stage.path(route), sent, follow=True)
                found |= untranslated_in(texts_in(response), typed)
    assert not found


# -- Mails -------------------------------------------------------------------------------------------------


def texts_in_mail(sent: Any) -> list[PageText]:
    html, _kind = sent.alternatives[0]
    text = [PageText("text", line) for line in sent.body.splitlines() if line.strip()]
    return [PageText("subject", sent.subject), *text, *texts_of(html)]


@pytest.mark.parametrize("detail", MailDetail)
def test_mails_about_messages_are_translated(translated_stage: Stage, detail: MailDetail) -> None:
    people = translated_stage.cast
    Tenancy.objects.filter(pk=people.northwind.pk).update(mail_detail=detail)
    Topic.objects.filter(pk=people.payments.pk).update(notification_interval=0)
    notify_members(post(people.payments, people.bob, "written").pk)
    assert [sent.to for sent in mail.outbox] == [[people.alice.user.email]]
    assert not untranslated_in(texts_in_mail(mail.outbox[0]), [])
    # Bob has read nothing, and has not been notified.
    Message.objects.update(fanned_out_at=timezone.now())
    ReadPosition.objects.all().delete()
    Delivery.objects.all().delete()
    unread = unread_topics_of(people.bob)
    assert unread, "Alice has written, or the test proves nothing"
    assert not untranslated_in(texts_in_mail(catch_up_mail(people.bob, date(2026, 11, 22), unread)), [])


def test_invitations_password_resets_and_test_mails_are_translated(translated_stage: Stage) -> None:
    send_due_invitations()
    note_reset_request(translated_stage.cast.bob.user.email)
    send_resets()
    assert len(mail.outbox) == 3, "two invitations and a reset"
    for sent in (*mail.outbox, build_test_mail(translated_stage.cast.dana)):
        assert not untranslated_in(texts_in_mail(sent), [])


# -- Sources, including what none of these pages shows -------------------------------------------------------

TEMPLATES = sorted((settings.BASE_DIR / "templates").rglob("*.*"))
SCRIPTS = sorted((settings.BASE_DIR / "static" / "js").glob("*.js"))
MODULES = sorted(
    path
    for app in ("accounts", "tenancy", "messenger", "ippex_messenger")
    for path in (settings.BASE_DIR / app).rglob("*.py")
    # Without modules whose texts are for operators only.
    if not {"migrations", "management", "demo", "embedded"} & set(path.parts) and path.name != "audit.py"
)
PLACEHOLDER = "{placeholder}"  # stands for a variable of the template
CLASSES = ("body_class", "page_class", "card_class")  # blocks within an attribute
A_WORD = re.compile(r"^[A-Z][a-z]|[a-z] [a-z]")


def without_translations(template: Path) -> str:
    """A template without the texts that it translates, with all branches."""
    parts: list[str] = []
    skipped_until = ""
    for token in Lexer(template.read_text()).tokenize():
        first, _space, rest = token.contents.partition(" ")
        if token.token_type == TokenType.BLOCK and skipped_until:
            skipped_until = "" if first == skipped_until else skipped_until
        elif token.token_type == TokenType.BLOCK and (first == "blocktranslate" or rest in CLASSES):
            skipped_until = f"end{first}"
        elif token.token_type == TokenType.TEXT and not skipped_until:
            parts.append(token.contents)
        elif token.token_type == TokenType.VAR and not skipped_until:
            parts.append(PLACEHOLDER)
        if token.token_type in (TokenType.BLOCK, TokenType.VAR) and first not in ("translate", "blocktranslate"):
            arguments = re.findall(r'(?<!_\()"([^"]*)"', token.contents)
            parts += [f"<p>{word}</p>" for word in arguments if A_WORD.search(word)]
    return "".join(parts)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(settings.BASE_DIR)))
def test_every_text_of_a_template_is_translated(template: Path) -> None:
    keys = {PageText("text", key) for key in KEYS}
    assert not {*untranslated(texts_of(without_translations(template)), NAMES)} - keys


GETTEXT = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy", "translated"}
A_SENTENCE = re.compile(r"^[A-Z][a-z]+,? [a-z]|[a-z] [a-z]+ [a-z]+.*[.:?!]$", re.DOTALL)


def strings_of(node: ast.AST) -> Iterator[str]:
    """The strings that are not translated, without docstrings, log messages, and exceptions that users never see."""
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


def test_every_sentence_in_a_module_is_translated() -> None:
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
    # Two words that are not part of a selector; or any text that is assigned to something visible.
    r"""(["'`])(?P<sentence>[^"'`.#\[\]:>=()$]*[A-Za-z]{2,},? +[a-z][^"'`.#\[\]:>=()$]*)\1"""
    r"""|(?:textContent|innerText|title|alt|placeholder|ariaLabel)\s*=\s*["'`](?P<said>[^"'`]*[a-z][^"'`]*)["'`]"""
    r"""|(?:alert|confirm|prompt)\("""
)


COUNTS = "count|messages|people|users|topics|emails|failed|more|seconds|minutes|hours|days"
COUNTED = re.compile(rf"(\{{\{{ ({COUNTS}) \}}\}}|%\(({COUNTS})\)[ds]) +[a-z]")


def test_every_sentence_with_a_count_has_a_plural() -> None:
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


def test_sentences_that_scripts_put_a_number_into_need_no_plural() -> None:
    """Scripts have no plural rules. “People found: 3” is right for every number, in every language."""
    sentences = [words for path in TEMPLATES for words in re.findall(r'"([^"]*%n[^"]*)"', path.read_text())]
    assert len(sentences) == 3
    for sentence in sentences:
        assert re.search(r": %n(\.|$)", sentence), sentence


def test_no_script_contains_a_sentence() -> None:
    """Scripts take their texts from data- attributes of the page."""
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
def test_the_day_and_time_of_a_message_have_the_readers_format(language: str, day: str, clock: str) -> None:
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
def test_the_time_in_a_forecast_has_the_readers_format(language: str, today: str, tomorrow: str) -> None:
    with translation.override(language):
        assert forecast_text._moment(MOMENT, MOMENT.date()) == today
        assert forecast_text._moment(MOMENT, MOMENT.date() - timedelta(days=1)) == tomorrow


@pytest.mark.parametrize(("language", "number"), [("en-gb", "12,345"), ("en", "12,345"), ("de", "12.345")])
def test_numbers_have_the_readers_separators(language: str, number: str) -> None:
    with translation.override(language):
        assert number in outcome_in_words("", 30, None, 12_345, NOTHING_MISSING)
        assert number in forecast_in_words(Forecast("", 12_345, None), 30, "")
        assert Template("{{ number }}").render(Context({"number": 12_345})) == number


def test_ids_have_no_thousands_separators(db: None, settings: Any) -> None:
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
                with rolled_back():
                    page = stage.client(role).get(stage.path(route) + "?q=canary").content.decode()
                for name, value in re.findall(r'([\w-]+)="([^"]*)"', page):
                    seen += "12345" in value
                    assert not re.search(r"\d,\d{3}", value) or name in ("title", "content", "aria-label"), (
                        route,
                        value,
                    )
                assert "1,234,5" not in page, route
    assert seen > 100, "or the test proves nothing"
