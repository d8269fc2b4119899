"""Administration: simultaneous edits of a form, pasted addresses, CSV files."""

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


def form_data(response: Any) -> dict[str, Any]:
    """What a browser would submit for the form on this page."""
    form = response.context["form"]
    values = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def form_data_at(client: Client, path: str) -> dict[str, Any]:
    """What a browser would submit for the unchanged form at `path`."""
    return form_data(client.get(path))


def members_of(group: MessengerGroup) -> set[str]:
    return set(group.memberships.filter(left_at=None).values_list("member__name", flat=True))


def test_saving_an_outdated_page_does_not_undo_the_change_of_another_administrator(cast: Cast, dana: Client) -> None:
    stale = form_data_at(dana, edit_path(cast.payroll))
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    response = dana.post(edit_path(cast.payroll), {**stale, "description": "New"})
    assert response.status_code == 422
    assert "added: Charlie Chen; removed: –" in response.content.decode()
    assert members_of(cast.payroll) == {"Alice Almeida", "Bob Brandt", "Charlie Chen"}

    resubmitted = {name: value for name, value in form_data(response).items() if name != "users"}
    users = [cast.alice.pk, cast.bob.pk]
    assert dana.post(edit_path(cast.payroll), {**resubmitted, "users": users}).status_code == 302
    assert members_of(cast.payroll) == {"Alice Almeida", "Bob Brandt"}


def test_saving_an_outdated_page_does_not_reactivate_a_user(cast: Cast, dana: Client) -> None:
    path = f"/northwind/administration/users/{cast.bob.pk}/"
    stale = form_data_at(dana, path)
    Member.objects.filter(pk=cast.bob.pk).update(is_active=False)
    response = dana.post(path, {**stale, "name": "Robert Brandt"})
    assert response.status_code == 422
    assert "Someone else has changed this user" in response.content.decode()
    cast.bob.refresh_from_db()
    assert not cast.bob.is_active
    assert dana.post(path, form_data(response)).status_code == 302, "Dana has seen the change and saves again"


def test_users_are_added_by_pasting_addresses_in_the_format_of_mail_programs(cast: Cast, dana: Client) -> None:
    form = form_data_at(dana, edit_path(cast.payroll))
    pasted = "Charlie Chen <CHARLIE@northwind.example>; mallory@northwind.example"
    assert dana.post(edit_path(cast.payroll), {**form, "addresses": pasted}).status_code == 302
    assert members_of(cast.payroll) == {"Alice Almeida", "Bob Brandt", "Charlie Chen", "Mallory Marsh"}


@pytest.mark.parametrize(
    ("pasted", "reported"),
    [
        ("erin@aurora.example", "erin@aurora.example"),  # a user of another client only: treated as unknown
        ("nobody@nowhere.example", "nobody@nowhere.example"),
        ("bob brandt; charlie@northwind.example", "bob brandt"),
    ],
)
def test_a_pasted_address_of_no_user_is_reported_and_no_one_is_added(
    cast: Cast, dana: Client, pasted: str, reported: str
) -> None:
    form = form_data_at(dana, edit_path(cast.payroll))
    response = dana.post(edit_path(cast.payroll), {**form, "addresses": pasted})
    assert response.status_code == 422
    assert f"No active user of this tenancy has this address: {reported}" in response.content.decode()
    assert members_of(cast.payroll) == {"Alice Almeida", "Bob Brandt"}


def rows_of(response: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))


def test_a_csv_file_contains_the_rows_of_the_search(cast: Cast, dana: Client) -> None:
    rows = rows_of(dana.get("/northwind/administration/users/", {"format": "csv", "q": "al"}))
    assert rows == [
        ["Name", "E-mail address", "Roles", "Status"],
        ["Alice Almeida", "alice@northwind.example", "Messenger manager", "Active"],
        ["Mallory Marsh", "mallory@northwind.example", "Messenger manager", "Active"],
    ]


@pytest.mark.parametrize("name", ["=1+1 Sum", "+49 Fay", "-Fay", "@Fay"])
def test_no_cell_of_a_csv_file_is_a_formula(cast: Cast, dana: Client, name: str) -> None:
    make_member(cast.northwind, f"Fay{ord(name[0])}")
    Member.objects.filter(name=f"Fay{ord(name[0])}").update(name=name)
    rows = rows_of(dana.get("/northwind/administration/users/", {"format": "csv"}))
    assert f"'{name}" in [row[0] for row in rows]
