"""Every route as every role with every method, compared with a table that is derived from the docs, not the views.

404 is for whatever a role must not know to exist, 403 for what it may see but not change and for the administrators'
pages of its own tenancy. Strangers are redirected to the sign-in page.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db.models import DateTimeField
from django.test import Client

from messenger.groups.services import save_group
from messenger.models import GroupMembership, Message, MessengerGroup, Topic
from tenancy.members import set_messenger_enabled
from tenancy.models import Member
from tests.support.stage import (
    CANARIES,
    ROLES,
    ROUTE_COUNT,
    ROUTES,
    UNUSED_ID,
    Response,
    Stage,
    parameters_of,
    rolled_back,
    snapshot,
    tables,
)

SIGN_IN = "sign in"
Result = int | str


def row(*results: Result) -> dict[str, Result]:
    return dict(zip(ROLES, results, strict=True))


def everybody(result: int) -> dict[str, Result]:
    return dict.fromkeys(ROLES, result)


def signed_in(result: int) -> dict[str, Result]:
    """Anybody who is signed in, in any tenancy. Heidi, whose user is inactive, has no session."""
    return {role: SIGN_IN if role in ("stranger", "heidi") else result for role in ROLES}


IN = SIGN_IN

# fmt: off
GET: dict[str, dict[str, Result]] = {
    #                                stranger erin charlie bob alice mallory dana frank grace heidi
    "healthz":                          everybody(200),
    "readyz":                           everybody(200),
    "account_login":                    row(200, 302, 302, 302, 302, 302, 302, 302, 302, 200),
    "account_logout":                   row(302, 200, 200, 200, 200, 200, 200, 200, 200, 302),
    "account_inactive":                 everybody(200),
    "account_change_password":          signed_in(200),
    "account_reset_password":           everybody(200),
    "account_reset_password_done":      everybody(200),
    "account_reset_password_from_key":  everybody(200),  # "no longer valid"
    "account_reset_password_from_key_done": everybody(200),
    "profile":                          signed_in(200),
    "home":                             row(IN, 302, 302, 302, 302, 302, 302, 200, 302, IN),
    "invitation":                       everybody(200),  # anybody with the link from the e-mail
    "unsubscribe":                      everybody(200),  # anybody with the link from the e-mail
    "tenancy:menu":                     row(IN, 404, 200, 200, 200, 200, 200, 404, 200, IN),
    "tenancy:administration":           row(IN, 404, 200, 200, 200, 200, 200, 404, 200, IN),
    "tenancy:settings":                 row(IN, 404, 403, 403, 403, 403, 302, 404, 403, IN),
    "tenancy:features":                 row(IN, 404, 403, 403, 403, 403, 200, 404, 403, IN),
    "tenancy:notifications":            row(IN, 404, 403, 403, 403, 403, 200, 404, 403, IN),
    "tenancy:messages":                 row(IN, 404, 403, 403, 403, 403, 200, 404, 403, IN),
    "tenancy:users":                    row(IN, 404, 403, 403, 403, 403, 200, 404, 403, IN),
    "tenancy:invite":                   row(IN, 404, 403, 403, 403, 403, 200, 404, 403, IN),
    "tenancy:user":                     row(IN, 404, 403, 403, 403, 403, 200, 404, 403, IN),
    "tenancy:invitation":               row(IN, 404, 403, 403, 403, 403, 200, 404, 403, IN),
    "tenancy:send_again":               row(IN, 404, 405, 405, 405, 405, 405, 404, 405, IN),
    "tenancy:withdraw":                 row(IN, 404, 405, 405, 405, 405, 405, 404, 405, IN),
    "messenger:topics":                 row(IN, 404, 404, 200, 200, 200, 404, 404, 404, IN),
    "messenger:topic_new":              row(IN, 404, 404, 403, 200, 200, 404, 404, 404, IN),
    "messenger:thread":                 row(IN, 404, 404, 200, 200, 404, 404, 404, 404, IN),
    "messenger:topic_edit":             row(IN, 404, 404, 403, 200, 404, 404, 404, 404, IN),
    "messenger:topic_replay":           row(IN, 404, 404, 403, 200, 404, 404, 404, 404, IN),
    "messenger:messages":               row(IN, 404, 404, 200, 200, 404, 404, 404, 404, IN),
    "messenger:record":                 row(IN, 404, 404, 200, 200, 404, 404, 404, 404, IN),
    "messenger:message":                row(IN, 404, 404, 200, 200, 404, 404, 404, 404, IN),
    "messenger:message_edit":           row(IN, 404, 404, 403, 200, 404, 404, 404, 404, IN),  # Alice wrote it
    "messenger:message_history":        row(IN, 404, 404, 200, 200, 404, 404, 404, 404, IN),
    "messenger:message_remove":         row(IN, 404, 404, 403, 200, 404, 404, 404, 404, IN),
    "messenger:read":                   row(IN, 404, 404, 302, 302, 404, 404, 404, 404, IN),
    "messenger:unread":                 row(IN, 404, 404, 302, 302, 404, 404, 404, 404, IN),
    "messenger:read_all":               row(IN, 404, 404, 302, 302, 302, 404, 404, 404, IN),
    "messenger:quotation":              row(IN, 404, 404, 200, 200, 404, 404, 404, 404, IN),
    "messenger:preview":                row(IN, 404, 404, 302, 302, 404, 404, 404, 404, IN),
    "messenger:people":                 row(IN, 404, 404, 200, 200, 404, 404, 404, 404, IN),
    "messenger:mute":                   row(IN, 404, 404, 302, 302, 404, 404, 404, 404, IN),
    "messenger:preferences":            row(IN, 404, 404, 200, 200, 200, 404, 404, 404, IN),
    "messenger:search":                 row(IN, 404, 404, 200, 200, 200, 404, 404, 404, IN),
    "messenger_health:overview":        row(IN, 404, 403, 403, 403, 403, 200, 404, 403, IN),
    "messenger_health:send_test":       row(IN, 404, 405, 405, 405, 405, 405, 404, 405, IN),
    "messenger_users:groups":           row(IN, 404, 200, 200, 200, 200, 200, 404, 200, IN),
    "messenger_users:group_new":        row(IN, 404, 403, 403, 403, 403, 200, 404, 403, IN),
    "messenger_users:group":            row(IN, 404, 404, 200, 200, 404, 200, 404, 404, IN),
    "messenger_users:users":            row(IN, 404, 404, 200, 200, 404, 200, 404, 404, IN),
    "messenger_users:group_edit":       row(IN, 404, 403, 403, 403, 403, 200, 404, 403, IN),
}

ONLY_READ = row(IN, 404, 405, 405, 405, 405, 405, 404, 405, IN)

# With the fields that the page would send (tests/support/stage.py): they are valid, so only the role decides.
POST: dict[str, dict[str, Result]] = {
    #                                stranger erin charlie bob alice mallory dana frank grace heidi
    "healthz":                          everybody(405),
    "readyz":                           everybody(405),
    "account_login":                    everybody(302),
    "account_logout":                   everybody(302),
    "account_inactive":                 everybody(405),
    "account_change_password":          signed_in(302),
    "account_reset_password":           everybody(302),
    "account_reset_password_done":      everybody(405),
    "account_reset_password_from_key":  everybody(200),  # "no longer valid"
    "account_reset_password_from_key_done": everybody(405),
    "profile":                          signed_in(302),
    "home":                             signed_in(405),
    "invitation":                       row(302, 200, 200, 200, 200, 200, 200, 200, 200, 302),  # as another user
    "unsubscribe":                      everybody(200),  # the button of a mail program, for Bob
    "tenancy:menu":                     ONLY_READ,
    "tenancy:administration":           ONLY_READ,
    "tenancy:settings":                 ONLY_READ,
    "tenancy:features":                 row(IN, 404, 403, 403, 403, 403, 302, 404, 403, IN),
    "tenancy:notifications":            row(IN, 404, 403, 403, 403, 403, 302, 404, 403, IN),
    "tenancy:messages":                 row(IN, 404, 403, 403, 403, 403, 302, 404, 403, IN),
    "tenancy:users":                    ONLY_READ,
    "tenancy:invite":                   row(IN, 404, 403, 403, 403, 403, 302, 404, 403, IN),
    "tenancy:user":                     row(IN, 404, 403, 403, 403, 403, 302, 404, 403, IN),
    "tenancy:invitation":               ONLY_READ,
    "tenancy:send_again":               row(IN, 404, 403, 403, 403, 403, 302, 404, 403, IN),
    "tenancy:withdraw":                 row(IN, 404, 403, 403, 403, 403, 302, 404, 403, IN),
    "messenger:topics":                 ONLY_READ,
    "messenger:topic_new":              row(IN, 404, 404, 403, 302, 422, 404, 404, 404, IN),  # Mallory: not her group
    "messenger:thread":                 ONLY_READ,
    "messenger:topic_edit":             row(IN, 404, 404, 403, 302, 404, 404, 404, 404, IN),
    "messenger:topic_replay":           ONLY_READ,
    "messenger:messages":               row(IN, 404, 404, 303, 303, 404, 404, 404, 404, IN),
    "messenger:record":                 ONLY_READ,
    "messenger:message":                ONLY_READ,
    "messenger:message_edit":           row(IN, 404, 404, 403, 302, 404, 404, 404, 404, IN),
    "messenger:message_history":        ONLY_READ,
    "messenger:message_remove":         row(IN, 404, 404, 403, 302, 404, 404, 404, 404, IN),
    "messenger:read":                   row(IN, 404, 404, 204, 204, 404, 404, 404, 404, IN),
    "messenger:unread":                 row(IN, 404, 404, 302, 302, 404, 404, 404, 404, IN),
    "messenger:read_all":               row(IN, 404, 404, 302, 302, 302, 404, 404, 404, IN),
    "messenger:quotation":              ONLY_READ,
    "messenger:preview":                row(IN, 404, 404, 200, 200, 404, 404, 404, 404, IN),  # and writes nothing
    "messenger:people":                 ONLY_READ,
    "messenger:mute":                   row(IN, 404, 404, 302, 302, 404, 404, 404, 404, IN),
    "messenger:preferences":            row(IN, 404, 404, 302, 302, 302, 404, 404, 404, IN),
    "messenger:search":                 ONLY_READ,
    "messenger_health:overview":        ONLY_READ,
    "messenger_health:send_test":       row(IN, 404, 403, 403, 403, 403, 302, 404, 403, IN),
    "messenger_users:groups":           ONLY_READ,
    "messenger_users:group_new":        row(IN, 404, 403, 403, 403, 403, 302, 404, 403, IN),
    "messenger_users:group":            ONLY_READ,
    "messenger_users:users":            ONLY_READ,
    "messenger_users:group_edit":       row(IN, 404, 403, 403, 403, 403, 302, 404, 403, IN),
}
# fmt: on

# allauth's own views accept more methods, as Django's class-based views do, but change nothing then.
ALLAUTHS = {name for name in GET if name.startswith("account_")}
# Posting to these changes no row that is compared: only sessions, or nothing because the link is invalid.
WRITE_NOTHING = {
    "account_login",
    "account_logout",
    "account_reset_password_from_key",
    "messenger:unread",  # read positions are not compared
    "messenger:read_all",
    "messenger_health:send_test",  # sends an e-mail and stores nothing
}
# Messenger managers can also open these for an inactive topic.
EDITS_INACTIVE = {"messenger:topic_edit", "messenger:topic_replay"}
WITH_ID = [name for name, pattern in ROUTES.items() if "pk" in parameters_of(pattern)]
MESSENGERS = [name for name in ROUTES if name.startswith("messenger:")]


def result_of(response: Response, path: str) -> Result:
    if response.status_code == 302 and response["Location"] == f"/accounts/login/?next={quote(path)}":
        return SIGN_IN
    return response.status_code


def canaries_in(response: Response, role: str, route: str) -> set[str]:
    """Words in a response that this role may not read."""
    if route == "invitation":  # the link shows which tenancy invites whom
        return {word for word in _words_in(response) if "northwind" not in word and role not in CANARIES[word]}
    return {word for word in _words_in(response) if role not in CANARIES[word]}


def _words_in(response: Response) -> list[str]:
    text = response.content.decode() + str(response.headers) + str(response.cookies)
    return [word for word in CANARIES if word in text]


@dataclass(frozen=True)
class Outcome:
    result: Result
    changed: bool
    canaries: frozenset[str] = frozenset()


def outcomes_of(stage: Stage, route: str, method: str) -> dict[str, Outcome]:
    """What each role gets from a route."""
    before, outcomes = snapshot(), {}
    path, form = stage.path(route), stage.form(route)
    for role in ROLES:
        with rolled_back():
            client = stage.client(role)
            send = getattr(client, method.lower())
            response = send(path, form) if method == "POST" else send(path)
            canaries = frozenset(canaries_in(response, role, route))
            outcomes[role] = Outcome(result_of(response, path), snapshot() != before, canaries)
    return outcomes


# -- The table ---------------------------------------------------------------------------------------------


def test_both_tables_have_a_row_for_every_route() -> None:
    assert len(ROUTES) == ROUTE_COUNT, "two routes share a name"
    for table in (GET, POST):
        assert set(ROUTES) - set(table) == set(), "routes without a row in the table of this file"
        assert set(table) - set(ROUTES) == set(), "rows of routes that do not exist"


@pytest.mark.parametrize("route", GET)
def test_each_role_gets_the_response_to_get_in_the_table(stage: Stage, route: str) -> None:
    outcomes = outcomes_of(stage, route, "GET")
    assert outcomes == {role: Outcome(result, changed=False) for role, result in GET[route].items()}


@pytest.mark.parametrize("route", POST)
def test_each_role_gets_the_response_to_post_in_the_table(stage: Stage, route: str) -> None:
    outcomes = outcomes_of(stage, route, "POST")
    assert outcomes == {
        role: Outcome(result, changed=route == "unsubscribe" or (result in (302, 303) and route not in WRITE_NOTHING))
        for role, result in POST[route].items()
    }


@pytest.mark.parametrize("route", GET)
def test_head_responds_like_get_without_a_body(stage: Stage, route: str) -> None:
    for role in ROLES:
        with rolled_back():
            response = stage.client(role).head(stage.path(route))
            assert result_of(response, stage.path(route)) == GET[route][role], role
            assert response.content == b"", role


@pytest.mark.parametrize("route", GET)
def test_other_methods_show_and_change_nothing(stage: Stage, route: str) -> None:
    outcomes = outcomes_of(stage, route, "DELETE")
    assert not any(outcome.changed or outcome.canaries for outcome in outcomes.values())
    if route not in ALLAUTHS:
        assert {role: outcome.result for role, outcome in outcomes.items()} == refused_methods(route)


def refused_methods(route: str) -> dict[str, Result]:
    """A method that a page does not have is refused after the checks of sign-in and tenancy."""
    below_tenancy = "tenancy_slug" in parameters_of(ROUTES[route])
    return {
        role: IN if GET[route][role] == IN else 404 if below_tenancy and role in ("erin", "frank") else 405
        for role in ROLES
    }


def test_each_route_is_open_to_some_role() -> None:
    for route in ROUTES:
        results = {*GET[route].values(), *POST[route].values()}
        assert results & {200, 302, 303}, route


@pytest.mark.parametrize("route", [route for route, results in POST.items() if {302, 303} & set(results.values())])
def test_a_form_without_a_csrf_token_is_refused(stage: Stage, route: str) -> None:
    before = snapshot()
    role = next(role for role in ROLES if POST[route][role] in (302, 303))
    client = Client(enforce_csrf_checks=True)
    if role != "stranger":
        client.force_login(stage.member(role).user)
    response = client.post(stage.path(route), stage.form(route))
    assert response.status_code == 403
    assert snapshot() == before


# -- Hidden rows -----------------------------------------------------------------------------------------


def hidden_ids(stage: Stage, route: str, role: str) -> list[int]:
    """Ids of existing rows that the route hides from the role."""
    ids = [stage.foreign_pk_in(route)]
    if GET[route][role] == 404:
        ids.append(stage.pk_in(route))
    if route.startswith("messenger:"):
        ids += [stage.cast.pensions.pk] if role != "mallory" else []
        ids += [stage.inactive.pk] if role != "alice" or route not in EDITS_INACTIVE else []
        ids.append(stage.closed_topic.pk)
    elif route.startswith("messenger_users:") and role != "dana":
        ids += [stage.cast.benefits.pk] if role != "mallory" else []
        ids.append(stage.closed.pk)
    return ids


def likeness(response: Response) -> tuple[int, bytes, dict[str, str]]:
    body = re.sub(rb'(name="csrfmiddlewaretoken" value=")[^"]*', rb"\1", response.content)
    return response.status_code, body, dict(response.headers)


@pytest.mark.parametrize("method", ["get", "post", "head"])
@pytest.mark.parametrize("route", WITH_ID)
def test_hidden_rows_get_the_same_response_as_missing_ones(stage: Stage, route: str, method: str) -> None:
    table = POST if method == "post" else GET
    for role in ROLES:
        if GET[route][role] == SIGN_IN:
            continue
        client = stage.client(role)

        def fetch(pk: int, client: Client = client) -> tuple[int, bytes, dict[str, str]]:
            arguments = [stage.form(route)] if method == "post" else []
            with rolled_back():
                return likeness(getattr(client, method)(stage.path(route, pk), *arguments))

        missing = fetch(UNUSED_ID)
        assert missing[0] in (403, 404, 405), role
        if table[route][role] in (200, 302, 303):
            assert missing[0] == 404, role
        for pk in hidden_ids(stage, route, role):
            assert fetch(pk) == missing, (role, pk)


@pytest.mark.parametrize("route", [route for route in ROUTES if "tenancy_slug" in parameters_of(ROUTES[route])])
def test_another_tenancy_gets_the_same_response_as_a_missing_one(stage: Stage, route: str) -> None:
    for role in ("bob", "dana", "frank"):
        client = stage.client(role)
        for method in ("get", "post", "put"):
            existing, missing = (
                likeness(getattr(client, method)(stage.path(route, slug=slug))) for slug in ("aurora", "atlantis")
            )
            assert existing == missing
            assert existing[0] == 404
    assert likeness(stage.client("erin").get(stage.path(route))) == likeness(
        stage.client("erin").get(stage.path(route, slug="atlantis"))
    )


@pytest.mark.parametrize("route", [route for route in ROUTES if "tenancy_slug" in parameters_of(ROUTES[route])])
def test_a_stranger_cannot_find_out_which_tenancies_and_ids_exist(stage: Stage, route: str) -> None:
    for slug in ("northwind", "atlantis"):
        for pk in (None, UNUSED_ID):
            path = stage.path(route, pk, slug)
            response = Client().get(path)
            assert result_of(response, path) == SIGN_IN
            assert response.content == b""


QUERIES = ("?format=csv", "?inactive=1", "?q=a", "?status=inactive", "?sort=-name", "?before=100", "?after=0")


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_string_reveals_a_canary(stage: Stage, query: str) -> None:
    for role in ("erin", "charlie", "bob", "mallory", "dana"):
        client = stage.client(role)
        for route, results in GET.items():
            if route not in ALLAUTHS and results[role] == 200:
                response = client.get(stage.path(route) + query)
                assert not canaries_in(response, role, route), (role, route)


def test_the_filter_by_group_shows_nothing_of_other_groups(stage: Stage) -> None:
    topics = stage.path("messenger:topics")
    for group in (stage.cast.benefits, stage.closed, stage.cast.foreign):
        response = stage.client("alice").get(topics, {"group": group.pk})
        assert response.status_code == 200
        assert not canaries_in(response, "alice", "messenger:topics")


def test_the_topic_list_finds_no_words_of_other_groups(stage: Stage) -> None:
    for word in ("canary-benefits", "canary-aurora", "canary-closed"):
        page = stage.client("bob").get(stage.path("messenger:topics"), {"q": word}).content.decode()
        assert "No matching topics" in page


# -- Switched off ------------------------------------------------------------------------------------------


def test_while_messenger_is_off_all_its_pages_are_a_404_for_everybody(stage: Stage) -> None:
    statuses_before = {
        (route, role): stage.client(role).get(stage.path(route)).status_code for route in MESSENGERS for role in ROLES
    }
    assert 200 in statuses_before.values(), "or the test proves nothing"
    set_messenger_enabled(stage.cast.northwind, False)
    before = snapshot()
    for route in MESSENGERS:
        for role in ROLES:
            path = stage.path(route)
            expected = SIGN_IN if GET[route][role] == SIGN_IN else 404
            assert result_of(stage.client(role).get(path), path) == expected, (route, role)
            if POST[route] != ONLY_READ:
                response = stage.client(role).post(path, stage.form(route))
                assert result_of(response, path) == expected, (route, role)
    assert snapshot() == before


def test_while_messenger_is_off_its_pages_get_the_same_response_as_missing_ones(stage: Stage) -> None:
    alice = stage.client("alice")
    set_messenger_enabled(stage.cast.northwind, False)
    missing = likeness(alice.get("/northwind/messenger/nothing/"))[:2]
    for route in MESSENGERS:
        assert likeness(alice.get(stage.path(route)))[:2] == missing, route


def test_while_messenger_is_off_only_administrators_see_messenger_users(stage: Stage) -> None:
    set_messenger_enabled(stage.cast.northwind, False)
    read = ["messenger_users:groups", "messenger_users:group", "messenger_users:users"]
    for role in ("charlie", "bob", "alice", "mallory", "grace"):
        for route in read:
            assert stage.client(role).get(stage.path(route)).status_code == 404, (role, route)
        menu = stage.client(role).get(stage.path("tenancy:menu")).content.decode()
        assert "/messenger/" not in menu
        assert "messenger-users" not in menu
        administration = stage.client(role).get(stage.path("tenancy:administration")).content.decode()
        assert "messenger-users" not in administration
    for route in read:
        assert stage.client("dana").get(stage.path(route)).status_code == 200, route
    assert "messenger-users" in stage.client("dana").get(stage.path("tenancy:menu")).content.decode()


# -- Inactive ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["messenger:thread", "messenger:messages"])
def test_an_inactive_topic_is_a_404_for_managers_and_administrators_too(stage: Stage, route: str) -> None:
    save_group(stage.cast.payroll, [stage.cast.alice, stage.cast.bob, stage.cast.dana])
    before = snapshot()
    for role in ("alice", "bob", "dana"):
        assert stage.client(role).get(stage.path(route)).status_code == 200, "in the group, or the test proves nothing"
        path = stage.path(route, stage.inactive.pk)
        assert stage.client(role).get(path).status_code == 404
        assert stage.client(role).post(path, stage.form(route)).status_code in (404, 405)
    assert snapshot() == before


def test_a_manager_finds_an_inactive_topic_under_show_inactive_and_can_only_edit_it(stage: Stage) -> None:
    alice, topics = stage.client("alice"), stage.path("messenger:topics")
    usual = alice.get(topics).content.decode()
    assert "canary-inactive-topic" not in usual
    assert "Show inactive (1)" in usual
    inactive = alice.get(topics + "?inactive=1").content.decode()
    assert "canary-inactive-topic" in inactive
    assert "canary-payroll-topic" not in inactive
    assert stage.path("messenger:topic_edit", stage.inactive.pk) in inactive
    assert f'"{stage.path("messenger:thread", stage.inactive.pk)}"' not in inactive
    assert "canary-inactive-message" not in inactive
    assert alice.get(stage.path("messenger:topic_edit", stage.inactive.pk)).status_code == 200


@pytest.mark.parametrize("role", ["bob", "mallory"])
def test_other_members_do_not_see_an_inactive_topic(stage: Stage, role: str) -> None:
    for query in ("", "?inactive=1"):
        page = stage.client(role).get(stage.path("messenger:topics") + query).content.decode()
        assert "canary-inactive-topic" not in page
        assert "Show inactive" not in page
    path = stage.path("messenger:topic_edit", stage.inactive.pk)
    assert stage.client(role).get(path).status_code == 404
    assert stage.client(role).post(path, stage.form("messenger:topic_edit")).status_code == 404


def test_only_administrators_see_an_inactive_group(stage: Stage) -> None:
    read = ["messenger_users:group", "messenger_users:users"]
    for role in ("alice", "bob"):
        memberships = GroupMembership.objects.open().filter(member=stage.member(role), group=stage.closed)
        assert memberships.exists(), "in the group, or the test proves nothing"
        assert "canary-closed" not in stage.client(role).get(stage.path("messenger_users:groups")).content.decode()
        for route in read:
            assert stage.client(role).get(stage.path(route, stage.closed.pk)).status_code == 404
        for route in ("messenger:thread", "messenger:messages", "messenger:topic_edit"):
            assert stage.client(role).get(stage.path(route, stage.closed_topic.pk)).status_code == 404
    assert "canary-closed-group" in stage.client("dana").get(stage.path("messenger_users:groups")).content.decode()
    for route in read:
        assert stage.client("dana").get(stage.path(route, stage.closed.pk)).status_code == 200


def test_a_member_of_inactive_groups_only_has_no_messenger(stage: Stage) -> None:
    MessengerGroup.objects.filter(tenancy=stage.cast.northwind).update(is_active=False)
    for role in ("alice", "bob", "mallory"):
        for route in MESSENGERS:
            assert stage.client(role).get(stage.path(route)).status_code == 404, (role, route)
        menu = stage.client(role).get(stage.path("tenancy:menu")).content.decode()
        assert stage.path("messenger:topics") not in menu


# -- Unknown fields ----------------------------------------------------------------------------------------


def unknown_fields(stage: Stage) -> dict[str, str]:
    abroad = stage.cast.erin
    numbers = dict.fromkeys(("tenancy", "tenancy_id"), str(abroad.tenancy_id))
    numbers |= dict.fromkeys(("author", "author_id", "member", "member_id", "invited_by"), str(abroad.pk))
    numbers |= dict.fromkeys(("user", "user_id"), str(abroad.user_id))
    numbers |= dict.fromkeys(("group", "group_id"), str(stage.cast.benefits.pk))
    numbers |= dict.fromkeys(("topic", "topic_id"), str(stage.cast.pensions.pk))
    numbers |= dict.fromkeys(("id", "pk", "sequence", "last_sequence", "revision", "interval_minutes"), "777")
    roles = ("is_administrator", "is_messenger_manager", "is_superuser", "is_staff", "messenger_enabled")
    moments = ("posted_at", "created_at", "joined_at", "left_at", "emailed_at", "requested_at", "last_activity_at")
    return {
        **numbers,
        **dict.fromkeys(roles, "on"),
        **dict.fromkeys(moments, "2001-02-03 04:05:06"),
        "slug": "mine",
        "email": "mine@example.com",
        "outcome": "no_email",
        "reason": "interval",
        "body_html": "<script>",
        "state": "sent",
        "password": "other horse 123456",
        "notification_interval": "7",
        "own_messages": "",
    }


BELONGS_TO_THE_FORM = {
    "account_login": {"password"},
    "account_reset_password": {"email"},
    "tenancy:features": {"messenger_enabled"},
    "tenancy:invite": {"email", "is_administrator", "is_messenger_manager"},
    "tenancy:user": {"is_administrator", "is_messenger_manager"},
    "messenger:topic_new": {"group"},
    "messenger:preferences": {"own_messages"},
}


def comparable_rows(known: dict[str, set[Any]]) -> list[Any]:
    """Every row, without what differs from one run to the next: new ids, times, hashes."""

    def plain(value: Any, target: str | None) -> Any:
        if isinstance(value, datetime | date):
            return "long ago" if value.year < 2010 else "lately"
        if isinstance(value, timedelta):
            return "a while"
        return "new" if target and value is not None and value not in known[target] else value

    found = []
    for model in tables():
        fields = {field.attname: field for field in model._meta.concrete_fields}
        for values in model._default_manager.values():  # type: ignore[attr-defined]
            row: dict[str, Any] = {"table": model._meta.label}
            for name, value in values.items():
                target: Any = fields[name].related_model or (model if fields[name].primary_key else None)
                label = target._meta.label if target else None
                if name not in ("last_login", "password"):
                    row[name] = plain(value, label)
            found.append(row)
    return sorted(found, key=repr)


def known_ids() -> dict[str, set[Any]]:
    return {model._meta.label: set(model._default_manager.values_list("pk", flat=True)) for model in tables()}


WRITING = [route for route, results in POST.items() if {302, 303} & set(results.values())]


@pytest.mark.parametrize("route", WRITING)
def test_unknown_fields_change_nothing(stage: Stage, route: str) -> None:
    role = next(role for role in ("bob", *ROLES) if POST[route][role] in (302, 303))
    form, known = stage.form(route), known_ids()
    own_fields = {*form, *BELONGS_TO_THE_FORM.get(route, ())}
    extra = {name: value for name, value in unknown_fields(stage).items() if name not in own_fields}
    results = []
    for sent in (form, {**form, **extra}):
        with rolled_back():
            response = stage.client(role).post(stage.path(route), sent)
            assert response.status_code in (302, 303)
            results.append((comparable_rows(known), known_ids().keys()))
    assert results[0] == results[1]


def test_the_comparison_above_notices_a_changed_time_and_a_changed_number(stage: Stage) -> None:
    known, before = known_ids(), comparable_rows(known_ids())
    assert any(isinstance(field, DateTimeField) for field in Message._meta.fields), "or the test proves nothing"
    with rolled_back():
        Message.objects.filter(topic=stage.cast.payments).update(posted_at=datetime.fromisoformat("2001-02-03T04:05Z"))
        assert comparable_rows(known) != before
    with rolled_back():
        Topic.objects.filter(pk=stage.cast.payments.pk).update(last_sequence=777)
        assert comparable_rows(known) != before
    assert comparable_rows(known) == before


# -- Hidden ids in forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["foreign", "benefits", "closed"])
def test_creating_a_topic_in_another_group_is_an_error_of_the_field(stage: Stage, whose: str) -> None:
    group = getattr(stage.cast, whose, None) or stage.closed
    before, alice, path = snapshot(), stage.client("alice"), stage.path("messenger:topic_new")
    form = stage.form("messenger:topic_new")
    refused = alice.post(path, {**form, "group": str(group.pk)})
    missing = alice.post(path, {**form, "group": str(UNUSED_ID)})
    assert refused.status_code == missing.status_code == 422
    assert "group" in refused.context["form"].errors
    assert refused.context["form"].errors == missing.context["form"].errors, "as for a group that does not exist"
    assert not canaries_in(refused, "alice", "messenger:topic_new")
    assert snapshot() == before


def group_form(stage: Stage, **changes: Any) -> dict[str, Any]:
    return {**stage.form("messenger_users:group_new"), **changes}


GROUP_FORMS = ("messenger_users:group_new", "messenger_users:group_edit")


@pytest.mark.parametrize("route", GROUP_FORMS)
def test_adding_users_of_another_tenancy_to_a_group_is_an_error_of_the_field(stage: Stage, route: str) -> None:
    before, dana = snapshot(), stage.client("dana")
    chosen = [str(stage.cast.bob.pk), str(stage.cast.erin.pk)]
    response = dana.post(stage.path(route), group_form(stage, users=chosen, confirmed="1"))
    assert response.status_code == 422
    assert "users" in response.context["form"].errors
    assert not canaries_in(response, "dana", route)
    assert snapshot() == before


@pytest.mark.parametrize("route", GROUP_FORMS)
def test_pasted_addresses_of_another_tenancy_are_refused_like_unknown_ones(stage: Stage, route: str) -> None:
    before, dana = snapshot(), stage.client("dana")
    pages = []
    for address in (stage.cast.erin.user.email, "nobody@aurora.example"):
        response = dana.post(stage.path(route), group_form(stage, addresses=address, confirmed="1"))
        assert response.status_code == 422
        assert "addresses" in response.context["form"].errors
        pages.append(likeness(response)[1].replace(address.encode(), b"ADDRESS"))
    assert pages[0] == pages[1]
    assert snapshot() == before


@pytest.mark.parametrize("who", ["frank", "heidi"])
def test_inactive_members_cannot_be_added_to_a_group(stage: Stage, who: str) -> None:
    before = snapshot()
    form = group_form(stage, users=[str(stage.member(who).pk)])
    response = stage.client("dana").post(stage.path("messenger_users:group_new"), form)
    assert response.status_code == 422
    assert "users" in response.context["form"].errors
    assert snapshot() == before


LOSING_ACCESS: dict[str, Callable[[Stage], object]] = {
    "left the group": lambda stage: save_group(stage.cast.payroll, [stage.cast.alice]),
    "member deactivated": lambda stage: Member.objects.filter(pk=stage.cast.bob.pk).update(is_active=False),
    "topic inactive": lambda stage: Topic.objects.filter(pk=stage.cast.payments.pk).update(is_active=False),
    "group inactive": lambda stage: MessengerGroup.objects.filter(pk=stage.cast.payroll.pk).update(is_active=False),
    "messenger off": lambda stage: set_messenger_enabled(stage.cast.northwind, False),
}


@pytest.mark.parametrize("way", LOSING_ACCESS)
def test_access_ends_with_the_next_request(stage: Stage, way: str) -> None:
    bob, thread, messages = stage.client("bob"), stage.path("messenger:thread"), stage.path("messenger:messages")
    assert bob.get(thread).status_code == 200
    LOSING_ACCESS[way](stage)
    assert bob.get(thread).status_code == 404
    assert bob.get(messages, {"after": "0"}).status_code == 404
    assert bob.post(messages, stage.form("messenger:messages")).status_code == 404


def test_a_session_ends_when_the_user_is_deactivated_or_the_password_changes(stage: Stage) -> None:
    for change in ({"is_active": False}, {"password": "changed"}):
        with rolled_back():
            bob, menu = stage.client("bob"), stage.path("tenancy:menu")
            assert bob.get(menu).status_code == 200
            type(stage.cast.bob.user).objects.filter(pk=stage.cast.bob.user_id).update(**change)
            assert result_of(bob.get(menu), menu) == SIGN_IN
