"""A page belongs to the member it was made for: who else is signed in can't send anything from it."""

import re
from html import unescape

import pytest
from django import forms
from django.conf import settings
from django.test import Client
from django.utils.functional import Promise

from messenger.groups.forms import GroupForm
from messenger.messages.forms import EditForm, RemovalForm
from messenger.models import Message
from messenger.topics.forms import NewTopicForm, TopicForm
from tenancy.forms import InvitationForm, MemberForm
from tenancy.page_owner import TEXT_FIELDS
from tests.messenger.test_access_matrix import GET, POST, likeness
from tests.support.cast import Cast, sign_in
from tests.support.pages import GROUPS, messages, send, text_of, thread
from tests.support.stage import ROLES, ROUTES, Response, Stage, parameters_of, rolled_back, snapshot

BELOW_A_TENANCY = [name for name, pattern in ROUTES.items() if "tenancy_slug" in parameters_of(pattern)]
WRITING = [name for name in BELOW_A_TENANCY if {200, 204, 302, 303} & set(POST[name].values())]
SCRIPT = {"X-Requested-With": "fetch"}


def who_may(table: dict[str, dict[str, int | str]], route: str) -> str:
    return next(role for role in ROLES if table[route][role] in (200, 204, 302, 303))


# -- Refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", WRITING)
def test_a_form_of_another_members_page_is_refused_and_writes_nothing(stage: Stage, route: str) -> None:
    role = who_may(POST, route)
    client, path, form = stage.client(role), stage.path(route), stage.form(route)
    other, own = str(stage.grace.pk), str(stage.member(role).pk)
    before = snapshot(with_read_positions=True)
    answers = [
        client.post(path, form | {"made_for": other}),
        client.post(path, form | {"made_for": [own, other]}),
        client.post(path, form, headers={"X-Made-For": other}),
        client.post(path, form | {"made_for": own}, headers=SCRIPT | {"X-Made-For": other}),
        client.post(f"{path}?made_for={other}", form),
    ]
    assert [answer.status_code for answer in answers] == [409] * 5
    assert snapshot(with_read_positions=True) == before
    with rolled_back():
        answer = client.post(path, form | {"made_for": own}, headers={"X-Made-For": own})
        assert answer.status_code == POST[route][role], "their own page is as good as ever"


@pytest.mark.parametrize("route", BELOW_A_TENANCY)
def test_what_a_script_of_another_members_page_asks_for_is_refused(stage: Stage, route: str) -> None:
    role = who_may(GET if GET[route]["dana"] != 405 else POST, route)
    client, path = stage.client(role), stage.path(route)
    own = client.get(path, headers={"X-Made-For": str(stage.member(role).pk)})
    assert own.status_code == GET[route][role]
    for headers in ({}, SCRIPT):
        refused = client.get(path, headers={**headers, "X-Made-For": str(stage.grace.pk)})
        assert refused.status_code == 409
        assert "canary-payroll" not in text_of(refused)
    assert client.get(f"{path}?made_for={stage.grace.pk}").status_code == 409


@pytest.mark.parametrize("value", ["", " ", "0", "-1", "x", "9" * 26, "٣", "1e3", "None", "<b>", "1, 2", "\ud800"])
def test_an_id_that_is_none_is_another_members(cast: Cast, value: str) -> None:
    bob = sign_in(cast.bob)
    body = f"body=Hello&client_id=00000000-0000-0000-0000-000000000001&made_for={value}".encode(errors="surrogatepass")
    kind = "application/x-www-form-urlencoded"
    assert bob.post(messages(cast.payments), body, content_type=kind).status_code == 409
    if value.isascii():
        assert send(bob, cast.payments, **{"X-Made-For": value}).status_code == 409
    assert not Message.objects.exists()
    assert send(bob, cast.payments, **{"X-Made-For": str(cast.bob.pk)}).status_code == 303


def test_who_is_of_another_tenancy_is_told_so_and_learns_nothing_about_this_one(cast: Cast) -> None:
    erin = sign_in(cast.erin)
    form = {"body": "Typed by Bob", "made_for": str(cast.bob.pk)}
    refused = erin.post(messages(cast.payments), form)
    assert refused.status_code == 409
    assert "You are now signed in as erin@aurora.example" in text_of(refused)
    assert given_back(refused) == {"Message": "Typed by Bob"}
    elsewhere = erin.post(messages(cast.payments).replace("northwind", "atlantis"), form)
    assert likeness(elsewhere) == likeness(refused), "as for a tenancy that does not exist"
    for own in ({"made_for": str(cast.erin.pk)}, {}):
        assert erin.post(messages(cast.payments), {"body": "Hello", **own}).status_code == 404


def test_a_member_who_lost_access_is_no_other_member(stage: Stage) -> None:
    form = stage.form("messenger:messages") | {"made_for": str(stage.frank.pk)}
    assert stage.client("frank").post(stage.path("messenger:messages"), form).status_code == 404


def test_a_script_gets_a_sentence_that_names_only_who_is_signed_in(cast: Cast) -> None:
    headers = {**SCRIPT, "X-Made-For": str(cast.alice.pk)}
    for answer in (
        send(sign_in(cast.bob), cast.payments, "Hello", **headers),
        sign_in(cast.bob).get(messages(cast.payments), {"since": "0"}, headers=headers),
    ):
        assert answer.status_code == 409
        assert answer["Content-Type"].startswith("text/plain")
        assert text_of(answer).startswith("You are now signed in as Bob Brandt.")
        assert "Alice" not in text_of(answer)


# -- What was typed comes back ---------------------------------------------------------------------------------


def given_back(answer: Response) -> dict[str, str]:
    label, field = r'<label [^>]*for="(given-back-\d+)">(.*?)</label>', r'<textarea [^>]*id="\1"[^>]*readonly>\n(.*?)<'
    found = re.findall(rf"{label}\s*{field}/textarea>", text_of(answer), re.DOTALL)
    return {label: unescape(text) for _, label, text in found}


@pytest.mark.parametrize("body", ["Pay them", "<script>alert(1)</script></textarea>", "\n\nA\nB  \n", "&lt;", "مرحبا"])
def test_the_text_of_a_refused_form_comes_back_escaped(cast: Cast, body: str) -> None:
    form = {"body": body, "client_id": "x", "csrfmiddlewaretoken": "secret" * 5, "made_for": str(cast.alice.pk)}
    refused = sign_in(cast.bob).post(messages(cast.payments), form)
    assert refused.status_code == 409
    assert given_back(refused) == {"Message": body}
    assert "You are now signed in as Bob Brandt" in text_of(refused)
    assert "Alice" not in text_of(refused)
    assert "secret" not in text_of(refused)
    assert "<script>alert" not in text_of(refused)
    assert f'data-made-for="{cast.bob.pk}"' in text_of(refused), "the page itself is Bob's"


def test_every_text_of_a_larger_form_comes_back(cast: Cast) -> None:
    form = {"name": "Auditors", "description": "Who look", "addresses": "a@b.example", "users": "7", "is_active": "on"}
    refused = sign_in(cast.dana).post(f"{GROUPS}new/", form | {"made_for": str(cast.alice.pk), "password": "hunter2"})
    assert refused.status_code == 409
    assert given_back(refused) == {"Name": "Auditors", "Description": "Who look", "E-mail addresses": "a@b.example"}
    assert "hunter2" not in text_of(refused)


def test_every_field_that_people_write_in_comes_back() -> None:
    written = {
        name
        for form in (GroupForm, EditForm, RemovalForm, NewTopicForm, TopicForm, InvitationForm, MemberForm)
        for name, field in form.base_fields.items()
        if isinstance(field.widget, forms.TextInput | forms.Textarea | forms.EmailInput)
    }
    assert len(written) > 4, "or the test proves nothing"
    assert written == set(TEXT_FIELDS)
    assert all(isinstance(label, Promise) for label in TEXT_FIELDS.values()), "each is translated when it is shown"


# -- With the token of another session --------------------------------------------------------------------------


def test_a_browser_hears_of_the_other_person_before_it_hears_of_the_token(cast: Cast) -> None:
    """Signing in renews the token, so what an earlier page sends always comes with a wrong one."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(cast.alice.user)
    page = text_of(browser.get(thread(cast.payments)))
    (form,) = re.findall(r"<form [^>]*data-composer.*?</form>", page, re.DOTALL)
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    assert fields["made_for"] == str(cast.alice.pk)
    browser.force_login(cast.bob.user)
    del browser.cookies["csrftoken"]
    refused = browser.post(messages(cast.payments), fields | {"body": "Typed by Alice"})
    assert refused.status_code == 409
    assert given_back(refused) == {"Message": "Typed by Alice"}
    assert not Message.objects.exists()
    own = browser.post(messages(cast.payments), fields | {"body": "Typed by Bob", "made_for": str(cast.bob.pk)})
    assert own.status_code == 403, "of their own page the token must be right"
    assert given_back(own) == {"Message": "Typed by Bob"}, "as after signing in again"


# -- Every page says whose it is -------------------------------------------------------------------------------


@pytest.mark.parametrize("route", BELOW_A_TENANCY)
def test_every_form_of_a_page_says_whose_page_it_is(stage: Stage, route: str) -> None:
    for role in ("alice", "bob", "dana"):
        page = stage.client(role).get(stage.path(route))
        if page.status_code != 200 or not page["Content-Type"].startswith("text/html") or b"<main" not in page.content:
            continue
        owner = str(stage.member(role).pk)
        assert re.findall(r'data-made-for="(.*?)"', text_of(page)) == [owner]
        posting = re.findall(r'<form method="post".*?</form>', text_of(page), re.DOTALL)
        assert posting, "sign out, at least"
        assert [re.findall(r'name="made_for" value="(.*?)"', form) for form in posting] == [[owner]] * len(posting)


TEMPLATES = sorted((settings.BASE_DIR / "templates").rglob("*.html"))
# Opened by a mailed link, without a session.
WITHOUT_TOKEN = {"messenger/notifications/unsubscribe.html"}


def test_no_template_has_a_form_that_could_forget_whose_page_it_is() -> None:
    forms_found, offending = 0, []
    for file in TEMPLATES:
        source, name = file.read_text(), str(file.relative_to(settings.BASE_DIR / "templates"))
        posting = re.findall(r'<form\b[^%>]*method="post".*?</form>', source, re.DOTALL | re.IGNORECASE)
        forms_found += len(posting)
        parts = ('{% include "_tokens.html" %}', '{% include "_form.html" %}')
        if name not in WITHOUT_TOKEN and not all(any(part in form for part in parts) for form in posting):
            offending.append(name)
        if "csrf_token" in source and name != "_tokens.html":
            offending.append(name)
    assert forms_found > 20, "or the test proves nothing"
    assert offending == []


def test_scripts_ask_the_server_in_one_place() -> None:
    asking = re.compile(r"(?<![\w.#])fetch\(|new EventSource|sendBeacon|XMLHttpRequest|new WebSocket")
    scripts = (settings.BASE_DIR / "static" / "js").glob("*.js")
    assert [file.name for file in scripts if asking.search(file.read_text())] == ["requests.js"]


def test_a_page_of_no_tenancy_says_nothing(cast: Cast) -> None:
    bob = sign_in(cast.bob)
    for path in ("/accounts/profile/", "/accounts/logout/"):
        assert "made_for" not in text_of(bob.get(path))
