"""Administration: two people at the same form, pasted addresses, lists for a spreadsheet."""

import csv
import io
from typing import Any

import pytest
from django.test import Client

from messenger.groups.services import save_group
from messenger.models import MessengerGroup
from tenancy.models import Member
from tests.support.cast import Cast, make_member, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def dana(cast: Cast) -> Client:
    return sign_in(cast.dana)


def edit_path(group: MessengerGroup) -> str:
    return f"/northwind/administration/user-groups/messenger-users/{group.pk}/edit/"


def as_sent_again(answer: Any) -> dict[str, Any]:
    """What the form of an answer would send."""
    form = answer.context["form"]
    values = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def as_shown(client: Client, path: str) -> dict[str, Any]:
    """What the form at `path` would send, were it sent as it is shown."""
    return as_sent_again(client.get(path))


def members_of(group: MessengerGroup) -> set[str]:
    return set(group.memberships.filter(left_at=None).values_list("member__name", flat=True))


def test_a_page_opened_before_somebody_elses_change_does_not_undo_it(cast: Cast, dana: Client) -> None:
    stale = as_shown(dana, edit_path(cast.payroll))
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    answer = dana.post(edit_path(cast.payroll), {**stale, "description": "New"})
    assert answer.status_code == 422
    assert "added: Charlie Chen; removed: –" in answer.content.decode()
    assert members_of(cast.payroll) == {"Alice Almeida", "Bob Brandt", "Charlie Chen"}

    decided = {name: value for name, value in as_sent_again(answer).items() if name != "users"}
    chosen = [cast.alice.pk, cast.bob.pk]
    assert dana.post(edit_path(cast.payroll), {**decided, "users": chosen}).status_code == 302
    assert members_of(cast.payroll) == {"Alice Almeida", "Bob Brandt"}


def test_a_user_that_somebody_else_deactivated_is_not_made_active_by_a_page_opened_before(
    cast: Cast, dana: Client
) -> None:
    path = f"/northwind/administration/users/{cast.bob.pk}/"
    stale = as_shown(dana, path)
    Member.objects.filter(pk=cast.bob.pk).update(is_active=False)
    answer = dana.post(path, {**stale, "name": "Robert Brandt"})
    assert answer.status_code == 422
    assert "Somebody else changed this user" in answer.content.decode()
    cast.bob.refresh_from_db()
    assert not cast.bob.is_active
    assert dana.post(path, as_sent_again(answer)).status_code == 302, "on second thoughts it is what Dana wants"


def test_users_are_added_by_pasting_addresses_as_mail_programs_write_them(cast: Cast, dana: Client) -> None:
    form = as_shown(dana, edit_path(cast.payroll))
    pasted = "Charlie Chen <CHARLIE@northwind.example>; mallory@northwind.example"
    assert dana.post(edit_path(cast.payroll), {**form, "addresses": pasted}).status_code == 302
    assert members_of(cast.payroll) == {"Alice Almeida", "Bob Brandt", "Charlie Chen", "Mallory Marsh"}


@pytest.mark.parametrize(
    ("pasted", "named"),
    [
        ("erin@aurora.example", "erin@aurora.example"),  # of another client: as unknown as nobody
        ("nobody@nowhere.example", "nobody@nowhere.example"),
        ("bob brandt; charlie@northwind.example", "bob brandt"),
    ],
)
def test_a_pasted_address_that_is_no_users_is_named_and_adds_nobody(
    cast: Cast, dana: Client, pasted: str, named: str
) -> None:
    form = as_shown(dana, edit_path(cast.payroll))
    answer = dana.post(edit_path(cast.payroll), {**form, "addresses": pasted})
    assert answer.status_code == 422
    assert f"Not users of this tenancy: {named}" in answer.content.decode()
    assert members_of(cast.payroll) == {"Alice Almeida", "Bob Brandt"}


def rows_of(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_a_list_goes_to_a_spreadsheet_as_it_is_searched(cast: Cast, dana: Client) -> None:
    rows = rows_of(dana.get("/northwind/administration/users/", {"format": "csv", "q": "al"}))
    assert rows == [
        ["Name", "E-mail address", "Roles", "Status"],
        ["Alice Almeida", "alice@northwind.example", "Messenger manager", "Active"],
        ["Mallory Marsh", "mallory@northwind.example", "Messenger manager", "Active"],
    ]


@pytest.mark.parametrize("name", ["=1+1 Sum", "+49 Fay", "-Fay", "@Fay"])
def test_no_cell_of_a_spreadsheet_is_a_formula(cast: Cast, dana: Client, name: str) -> None:
    make_member(cast.northwind, f"Fay{ord(name[0])}")
    Member.objects.filter(name=f"Fay{ord(name[0])}").update(name=name)
    rows = rows_of(dana.get("/northwind/administration/users/", {"format": "csv"}))
    assert f"'{name}" in [row[0] for row in rows]
