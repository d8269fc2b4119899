"""What the pages do, row by row of the table of requirements (S1 to S13), through the test client."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import connection

from accounts.models import User
from messenger.groups.services import save_group
from messenger.models import GroupMembership, Message, MessengerGroup, Topic
from messenger.notifications.preferences.services import set_muted
from messenger.topics.listing import first_page, groups_of
from tenancy.models import Member, Tenancy
from tests.support.cast import Cast, age, make_topic, post, sign_in
from tests.support.composer import client_id_in, error_in, text_in
from tests.support.pages import (
    FEATURES,
    GROUPS,
    MENU,
    NEW_TOPIC,
    TOPICS,
    USERS,
    errors_of,
    messages,
    send,
    sequences,
    text_of,
    thread,
)

# -- The list ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"X-Requested-With": "fetch"}], ids=["page", "script"])
@pytest.mark.parametrize("who", ["alice", "bob"])
@pytest.mark.parametrize("query", [{}, {"inactive": "1"}, {"q": "pay"}], ids=str)
def test_a_page_of_the_list_defines_every_icon_that_its_rows_use(
    cast: Cast, who: str, query: dict[str, str], headers: dict[str, str]
) -> None:
    Topic.objects.filter(pk=make_topic(cast.payroll, "Payday").pk).update(is_active=False)
    set_muted(cast.payments, cast.bob, muted=True)
    page = text_of(sign_in(getattr(cast, who)).get(TOPICS, query, headers=headers))
    used = set(re.findall(r'<use href="#icon-([a-z-]+)"/>', page))
    assert "people" in used
    assert used <= set(re.findall(r'<symbol id="icon-([a-z-]+)" viewBox="0 0 16 16"><path ', page))


@pytest.mark.parametrize(
    ("body", "excerpt"),
    [
        ("**412** payments, *all* paid.", "412 payments, all paid."),
        ("See [the file](https://example.org/x), @Bob Brandt, `x`!", "See the file, @Bob Brandt, x!"),
        ("One\nTwo", "One Two"),
        ("- One\n- Two\n\nThree", "One Two Three"),
        ("1 < 2 & 3", "1 < 2 & 3"),
    ],
)
def test_the_excerpt_of_the_last_message_is_plain_text(cast: Cast, body: str, excerpt: str) -> None:
    post(cast.payments, cast.alice, body)
    (row,) = [row for row in first_page(cast.bob, groups_of(cast.bob))[0] if row.pk == cast.payments.pk]
    assert row.excerpt == excerpt


# -- S1 Enable messenger ------------------------------------------------------------------------------------


def test_s1_an_administrator_disables_and_enables_messenger_without_losing_anything(cast: Cast) -> None:
    dana, bob = sign_in(cast.dana), sign_in(cast.bob)
    post(cast.payments, cast.alice, "What was written")
    assert "enable messenger" in text_of(dana.get(FEATURES)).lower()
    assert dana.post(FEATURES, {}).status_code == 302
    assert bob.get(TOPICS).status_code == bob.get(thread(cast.payments)).status_code == 404
    assert TOPICS not in text_of(bob.get(MENU))
    assert dana.post(FEATURES, {"messenger_enabled": "on"}).status_code == 302
    assert "What was written" in text_of(bob.get(thread(cast.payments)))


def test_s1_messenger_is_disabled_in_a_new_tenancy() -> None:
    assert not Tenancy(slug="atlantis", name="Atlantis").messenger_enabled


def test_s1_settings_open_on_features(cast: Cast) -> None:
    response = sign_in(cast.dana).get("/northwind/administration/system/settings/", follow=True)
    assert response.request["PATH_INFO"] == FEATURES
    assert "Features" in text_of(response)
    assert 'name="messenger_enabled"' in text_of(response)


# -- S2 Main menu --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "sees"), [("alice", True), ("bob", True), ("mallory", True), ("charlie", False), ("dana", False)]
)
def test_s2_messenger_is_in_the_main_menu_of_members_of_active_groups_only(cast: Cast, who: str, sees: bool) -> None:
    page = text_of(sign_in(getattr(cast, who)).get(MENU))
    assert (f'href="{TOPICS}"' in page) is sees


def test_s2_without_an_active_group_the_entry_disappears(cast: Cast) -> None:
    bob = sign_in(cast.bob)
    assert TOPICS in text_of(bob.get(MENU))
    MessengerGroup.objects.filter(pk=cast.payroll.pk).update(is_active=False)
    assert TOPICS not in text_of(bob.get(MENU))


# -- S3 Topic list -------------------------------------------------------------------------------------------


def test_s3_the_list_shows_the_topics_of_all_groups_of_the_member_each_with_group_and_button(cast: Cast) -> None:
    save_group(cast.benefits, [cast.mallory, cast.bob])
    page = text_of(sign_in(cast.bob).get(TOPICS))
    rows = re.findall(r'<li class="topic[^"]*">.*?</li>', page, re.DOTALL)
    assert len(rows) == 2
    for topic in (cast.payments, cast.pensions):
        row = next(row for row in rows if topic.name in row)
        assert topic.group.name in row
        assert re.search(rf'class="btn[^"]*" href="{thread(topic)}"', row)
        assert "edit" not in row, "Bob is not a manager"


def test_s3_the_latest_topic_comes_first(cast: Cast) -> None:
    overtime = make_topic(cast.payroll, "Overtime")
    post(cast.payments, cast.bob)
    page = text_of(sign_in(cast.bob).get(TOPICS))
    assert page.index(cast.payments.name) < page.index(overtime.name)


@pytest.mark.django_db(transaction=True)  # within a transaction the list is not cached
def test_s3_after_midnight_the_time_of_a_message_becomes_yesterday(cast: Cast) -> None:
    User.objects.filter(pk=cast.alice.user_id).update(time_zone="Asia/Tokyo")
    with time_machine.travel(datetime(2026, 11, 22, 14, 50, tzinfo=UTC), tick=False) as clock:
        post(cast.payments, cast.bob, "Ten to midnight in Tokyo")
        alice = sign_in(cast.alice)
        for _ in range(2):
            assert ">23:50</time>" in text_of(alice.get(TOPICS))
        clock.shift(timedelta(minutes=20))
        assert ">Yesterday</time>" in text_of(alice.get(TOPICS))


@pytest.mark.parametrize(
    ("body", "html"),
    [
        ("Paid on **Friday**", "Paid on Friday"),
        ("net < gross, always", "net &lt; gross, always"),
        ("<b>Not</b> mark-up", "&lt;b&gt;Not&lt;/b&gt; mark-up"),
        ("a & b", "a &amp; b"),
    ],
)
def test_s3_the_list_shows_the_last_message_as_plain_text(cast: Cast, body: str, html: str) -> None:
    post(cast.payments, cast.alice, body)
    page = text_of(sign_in(cast.bob).get(TOPICS))
    last = re.search(r'<p class="topic-last">(.*?)</p>', page, re.DOTALL)
    assert last
    assert html in " ".join(last[1].split())


# -- S4 Thread -----------------------------------------------------------------------------------------------


def test_s4_a_member_reads_and_posts_and_returns_to_the_list(cast: Cast) -> None:
    post(cast.payments, cast.alice, "Anything new?")
    bob = sign_in(cast.bob)
    response = send(bob, cast.payments, "Paid on **Friday**")
    assert response.status_code == 303
    assert response["Location"] == f"{thread(cast.payments)}#message-2"
    page = bob.get(response["Location"])
    assert sequences(page) == [1, 2]
    assert "Anything new?" in text_of(page)
    assert "Paid on <strong>Friday</strong>" in text_of(page)
    assert re.search(rf'href="{TOPICS}"[^>]*><span aria-hidden="true">←</span> All Topics', text_of(page))


@pytest.mark.parametrize("body", ["", "   \n ", "x" * 10_001])
def test_s4_an_invalid_text_is_an_error_and_stays_in_the_form(cast: Cast, body: str) -> None:
    response = send(sign_in(cast.bob), cast.payments, body)
    assert response.status_code == 422
    assert ("1 character over the limit" if body.strip() else "Write a message first.") in error_in(text_of(response))
    assert text_in(text_of(response)) == body
    assert not Message.objects.exists()


def test_s4_a_post_by_a_script_returns_the_messages_that_the_page_does_not_have_yet(cast: Cast) -> None:
    for _ in range(3):
        post(cast.payments, cast.alice)
    form = {"body": "Mine", "client_id": str(uuid4()), "after": "1"}
    response = sign_in(cast.bob).post(messages(cast.payments), form, headers={"X-Requested-With": "fetch"})
    assert response.status_code == 201
    assert sequences(response) == [2, 3, 4]


def test_s4_a_post_by_a_script_returns_the_message_as_the_thread_shows_it(cast: Cast) -> None:
    """It is rendered without a query: as the first, below a message by the same or another author, on another day."""
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    clients = {who: sign_in(who) for who in (cast.alice, cast.bob)}
    steps = [
        (cast.bob, "First **of all** <b>", timedelta(0)),
        (cast.bob, "Once more", timedelta(minutes=2)),
        (cast.alice, "@Bob Brandt: thanks", timedelta(minutes=3)),
        (cast.bob, "The day after", timedelta(days=1)),
        (cast.bob, "@Bob Brandt to himself", timedelta(hours=1)),
    ]
    for number, (who, text, later) in enumerate(steps, 1):
        age(cast.payments, later)
        form = {"body": text, "client_id": str(uuid4()), "after": str(number - 1)}
        response = clients[who].post(messages(cast.payments), form, headers={"X-Requested-With": "fetch"})
        assert response.status_code == 201
        assert sequences(response) == [number]
        in_thread = clients[who].get(messages(cast.payments), {"after": number - 1})
        assert text_of(response) == text_of(in_thread)


def test_s4_a_double_post_is_one_message(cast: Cast) -> None:
    bob, client_id = sign_in(cast.bob), uuid4()
    first, again = (send(bob, cast.payments, "Hello", client_id) for _ in range(2))
    assert first.status_code == again.status_code == 303
    assert first["Location"] == again["Location"]
    assert Message.objects.count() == 1


def test_s4_another_text_with_the_same_client_id_stays_in_the_form_with_a_new_one(cast: Cast) -> None:
    bob, client_id = sign_in(cast.bob), uuid4()
    send(bob, cast.payments, "Hello", client_id)
    refused = send(bob, cast.payments, "Good bye", client_id)
    assert refused.status_code == 422
    assert "has already been sent from this page" in error_in(text_of(refused))
    assert text_in(text_of(refused)) == "Good bye"
    new_id = client_id_in(text_of(refused))
    assert new_id != str(client_id)
    assert send(bob, cast.payments, "Good bye", new_id).status_code == 303
    assert list(Message.objects.order_by("pk").values_list("body", flat=True)) == ["Hello", "Good bye"]


@pytest.mark.parametrize("client_id", ["", "x", "1" * 26])
def test_s4_a_message_without_a_valid_client_id_can_be_sent_again(cast: Cast, client_id: str) -> None:
    bob = sign_in(cast.bob)
    refused = bob.post(messages(cast.payments), {"body": "Hello", "client_id": client_id})
    assert refused.status_code == 422
    assert "The page was incomplete." in error_in(text_of(refused))
    assert text_in(text_of(refused)) == "Hello"
    assert send(bob, cast.payments, "Hello", client_id_in(text_of(refused))).status_code == 303


def test_s4_120_messages_are_read_in_pages_of_50_in_both_directions_without_gaps_or_duplicates(cast: Cast) -> None:
    for _ in range(120):
        post(cast.payments, cast.alice)
    bob = sign_in(cast.bob)
    latest = sequences(bob.get(thread(cast.payments), {"latest": ""}))
    assert latest == list(range(71, 121))
    seen = latest
    for expected in (50, 20, 0):
        older = sequences(bob.get(messages(cast.payments), {"before": seen[0]}))
        assert len(older) == expected
        seen = older + seen
    assert seen == list(range(1, 121))
    forward: list[int] = []
    for expected in (50, 50, 20, 0):
        newer = sequences(bob.get(messages(cast.payments), {"after": forward[-1] if forward else 0}))
        assert len(newer) == expected
        forward += newer
    assert forward == seen


def test_s4_the_pages_of_a_thread_are_linked_without_javascript(cast: Cast) -> None:
    for _ in range(120):
        post(cast.payments, cast.alice)
    bob, path = sign_in(cast.bob), thread(cast.payments)
    seen: list[int] = []
    page = bob.get(path, {"latest": ""})
    while True:
        seen = sequences(page) + seen
        link = re.search(rf'href="{path}(\?before=\d+)"', text_of(page))
        if not link:
            break
        page = bob.get(path + link[1])
    assert seen == list(range(1, 121))
    assert f'href="{path}?after=' in text_of(page)


# -- S5, S6, S7 Messenger users --------------------------------------------------------------------------------


def test_s5_a_member_sees_their_own_groups_read_only_and_an_administrator_all_groups(cast: Cast) -> None:
    bobs, danas = text_of(sign_in(cast.bob).get(GROUPS)), text_of(sign_in(cast.dana).get(GROUPS))
    assert cast.payroll.name in bobs
    assert cast.benefits.name not in bobs
    assert cast.payroll.name in danas
    assert cast.benefits.name in danas
    assert cast.foreign.name not in danas
    for path in (GROUPS, f"{GROUPS}{cast.payroll.pk}/", f"{GROUPS}{cast.payroll.pk}/users/"):
        assert "/edit/" not in text_of(sign_in(cast.bob).get(path))
        assert f"{GROUPS}new/" not in text_of(sign_in(cast.bob).get(path))
    assert f"{GROUPS}new/" in danas


@pytest.mark.parametrize("who", ["alice", "bob", "charlie", "dana"])
def test_s5_messenger_users_is_in_the_menus_of_members_too(cast: Cast, who: str) -> None:
    client = sign_in(getattr(cast, who))
    assert f'href="{GROUPS}"' in text_of(client.get("/northwind/administration/"))
    assert f'href="{GROUPS}"' in text_of(client.get(MENU))


def test_s6_the_button_of_a_group_opens_its_two_tabs(cast: Cast) -> None:
    MessengerGroup.objects.filter(pk=cast.payroll.pk).update(description="All about pay")
    bob, path = sign_in(cast.bob), f"{GROUPS}{cast.payroll.pk}/"
    assert re.search(rf'class="btn[^"]*" href="{path}"', text_of(bob.get(GROUPS)))
    information = text_of(bob.get(path))
    for expected in ("Group information", f"{path}users/", "All about pay", "Active", cast.payroll.name):
        assert expected in information
    users = text_of(bob.get(f"{path}users/"))
    assert cast.alice.name in users
    assert cast.bob.name in users
    assert cast.charlie.name not in users
    assert cast.alice.user.email not in users, "members see names, administrators addresses too"


def test_s7_an_administrator_creates_a_group_with_users(cast: Cast) -> None:
    dana = sign_in(cast.dana)
    form = {"name": "Auditors", "description": "Who look", "is_active": "on", "users": [cast.charlie.pk, cast.bob.pk]}
    response = dana.post(f"{GROUPS}new/", form)
    group = MessengerGroup.objects.get(name="Auditors")
    assert response.status_code == 302
    assert response["Location"] == f"{GROUPS}{group.pk}/users/"
    members = set(GroupMembership.objects.open().filter(group=group).values_list("member", flat=True))
    assert members == {cast.charlie.pk, cast.bob.pk}
    assert (group.tenancy, group.description, group.is_active) == (cast.northwind, "Who look", True)
    assert TOPICS in text_of(sign_in(cast.charlie).get(MENU))


def test_s7_users_can_be_chosen_by_pasting_their_addresses(cast: Cast) -> None:
    addresses = f"{cast.charlie.user.email.upper()}; {cast.bob.user.email}\n{cast.bob.user.email}"
    form = {"name": "Auditors", "is_active": "on", "addresses": addresses}
    assert sign_in(cast.dana).post(f"{GROUPS}new/", form).status_code == 302
    assert GroupMembership.objects.open().filter(group__name="Auditors").count() == 2


@pytest.mark.parametrize("name", ["Payroll", "PAYROLL", "  payroll ", "pAYROLL"])
def test_s7_a_groups_name_is_unique_in_the_tenancy_ignoring_case(cast: Cast, name: str) -> None:
    response = sign_in(cast.dana).post(f"{GROUPS}new/", {"name": name, "is_active": "on"})
    assert errors_of(response) == {"name"}
    assert MessengerGroup.objects.filter(tenancy=cast.northwind).count() == 2


TYPED = [
    "dvorak",
    "Dvořák",
    "DVOR\u030cA\u0301K",
    "o'brien",
    "O’Brien",
    "o`b",
    "ｂｒｉｅｎ",
    "strasse",
    "STRAẞE",
    "gehalt",
]
NAME = "Gehälter O'Brien-Dvořák Straße"


@pytest.mark.parametrize("typed", TYPED)
def test_a_name_is_found_however_it_is_typed(cast: Cast, typed: str) -> None:
    Member.objects.filter(pk=cast.bob.pk).update(name=NAME)
    MessengerGroup.objects.filter(pk=cast.payroll.pk).update(description=f"About {NAME}")
    make_topic(cast.payroll, NAME)
    bob, dana = sign_in(cast.bob), sign_in(cast.dana)
    found = {
        "users": (dana.get(USERS, {"q": typed}), cast.bob.user.email, cast.charlie.name),
        "users of a group": (dana.get(f"{GROUPS}{cast.payroll.pk}/users/", {"q": typed}), "Brien-", cast.alice.name),
        "groups": (dana.get(GROUPS, {"q": typed}), cast.payroll.name, cast.benefits.name),
        "topics": (bob.get(TOPICS, {"q": typed}), "Brien-", cast.payments.name),
    }
    for where, (page, there, not_there) in found.items():
        assert there in text_of(page), where
        assert not_there not in text_of(page), where
    Topic.objects.all().delete()
    MessengerGroup.objects.filter(pk=cast.payroll.pk).update(name=NAME)
    make_topic(cast.payroll, "By its group")
    assert "By its group" in text_of(bob.get(TOPICS, {"q": typed}))


@pytest.mark.parametrize("typed", ["obrien", "gehaelter", "dvorac", "%", "_", "\\"])
def test_another_name_is_not_found(cast: Cast, typed: str) -> None:
    Member.objects.filter(pk=cast.bob.pk).update(name=NAME)
    assert cast.bob.user.email not in text_of(sign_in(cast.dana).get(USERS, {"q": typed}))


@pytest.mark.parametrize("name", ["Ｐａｙｒｏｌｌ", "𝐏𝐚𝐲𝐫𝐨𝐥𝐥", "Payroll\u00a0", "PayRoll"])
def test_s7_a_group_is_refused_a_name_that_looks_like_another(cast: Cast, name: str) -> None:
    dana = sign_in(cast.dana)
    assert errors_of(dana.post(f"{GROUPS}new/", {"name": name, "is_active": "on"})) == {"name"}
    edit = f"{GROUPS}{cast.benefits.pk}/edit/"
    assert errors_of(dana.post(edit, {"name": name, "is_active": "on"})) == {"name"}
    assert dana.post(f"{GROUPS}{cast.payroll.pk}/edit/", {"name": name, "is_active": "on"}).status_code == 302, (
        "its own"
    )


def test_a_name_that_looked_like_another_before_that_was_refused_may_stay(cast: Cast) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX topic_name_unique_in_group; DROP INDEX group_name_unique_in_tenancy")
    MessengerGroup.objects.filter(pk=cast.benefits.pk).update(name="Ｐayroll")
    twin = make_topic(cast.payroll, "Ｐayments processing")
    alice, dana = sign_in(cast.alice), sign_in(cast.dana)
    group, topic = f"{GROUPS}{cast.benefits.pk}/edit/", f"{thread(twin)}edit/"
    assert dana.post(group, {"name": "Ｐayroll", "is_active": "on", "description": "Saved"}).status_code == 302
    assert alice.post(topic, topic_form(cast, name=twin.name)).status_code == 302
    assert errors_of(dana.post(group, {"name": "PAYROLL", "is_active": "on"})) == {"name"}
    assert errors_of(alice.post(topic, topic_form(cast, name="PAYMENTS processing"))) == {"name"}


def test_s7_group_names_of_another_tenancy_are_free(cast: Cast) -> None:
    response = sign_in(cast.dana).post(f"{GROUPS}new/", {"name": cast.foreign.name, "is_active": "on"})
    assert response.status_code == 302


def test_s7_adding_members_to_a_group_with_messages_asks_for_confirmation(cast: Cast) -> None:
    post(cast.payments, cast.alice, "Long ago")
    dana, path = sign_in(cast.dana), f"{GROUPS}{cast.payroll.pk}/edit/"
    form = {"name": "Payroll", "is_active": "on", "users": [cast.alice.pk, cast.bob.pk, cast.charlie.pk]}
    question = dana.post(path, form)
    assert question.status_code == 200
    assert cast.charlie.name in text_of(question)
    assert "1 message" in text_of(question)
    assert 'name="confirmed"' in text_of(question)
    assert not cast.payments.readers().contains(cast.charlie), "nothing has changed yet"
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text_of(question))
    repeated: dict[str, list[str]] = {}
    for name, value in hidden:
        repeated.setdefault(name, []).append(value)
    assert dana.post(path, {**repeated, "confirmed": "1"}).status_code == 302
    assert cast.payments.readers().contains(cast.charlie)
    assert set(cast.payments.readers()) == {cast.alice, cast.bob, cast.charlie}


def test_s7_a_confirmed_form_is_saved_at_once(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    form = {"name": "Payroll", "is_active": "on", "users": [cast.alice.pk, cast.charlie.pk], "confirmed": "1"}
    assert sign_in(cast.dana).post(f"{GROUPS}{cast.payroll.pk}/edit/", form).status_code == 302
    assert set(cast.payments.readers()) == {cast.alice, cast.charlie}


@pytest.mark.parametrize("why", ["no new member", "no messages"])
def test_s7_without_new_members_or_messages_no_confirmation_is_needed(cast: Cast, why: str) -> None:
    users = [cast.alice.pk, cast.bob.pk]
    if why == "no new member":
        post(cast.payments, cast.alice)
    else:
        users.append(cast.charlie.pk)
    form = {"name": "Payroll", "is_active": "on", "users": users}
    assert sign_in(cast.dana).post(f"{GROUPS}{cast.payroll.pk}/edit/", form).status_code == 302


# -- S8 Everyone sees everything -------------------------------------------------------------------------------


def test_s8_the_group_form_and_the_composer_explain_who_sees_what(cast: Cast) -> None:
    assert "Everyone in the group sees everything in it" in text_of(sign_in(cast.dana).get(f"{GROUPS}new/"))
    assert "Everyone in the group sees everything in it" in text_of(
        sign_in(cast.dana).get(f"{GROUPS}{cast.payroll.pk}/edit/")
    )
    assert "2 people in Payroll will see this" in " ".join(
        text_of(sign_in(cast.bob).get(thread(cast.payments))).split()
    )


# -- S9 Other roles --------------------------------------------------------------------------------------------


def test_s9_an_administrator_makes_a_member_messenger_manager_of_their_own_groups_only(cast: Cast) -> None:
    dana, bob = sign_in(cast.dana), sign_in(cast.bob)
    assert bob.get(NEW_TOPIC).status_code == 403
    assert "Other roles" in text_of(dana.get(f"{USERS}{cast.bob.pk}/"))
    form = {"name": cast.bob.name, "is_active": "on", "is_messenger_manager": "on"}
    assert dana.post(f"{USERS}{cast.bob.pk}/", form).status_code == 302
    assert bob.get(NEW_TOPIC).status_code == 200
    assert bob.get(f"{thread(cast.payments)}edit/").status_code == 200
    assert bob.get(f"{thread(cast.pensions)}edit/").status_code == 404
    groups = bob.get(NEW_TOPIC).context["form"].fields["group"].queryset
    assert set(groups) == {cast.payroll}


@pytest.mark.parametrize("form", [{"is_active": "on"}, {"is_administrator": "on"}], ids=["role taken", "deactivated"])
def test_s9_the_last_administrator_cannot_lose_the_role(cast: Cast, form: dict[str, str]) -> None:
    response = sign_in(cast.dana).post(f"{USERS}{cast.dana.pk}/", {"name": "Dana Dvorak", **form})
    assert errors_of(response) == {"is_administrator" if "is_active" in form else "is_active"}
    dana = Member.objects.get(pk=cast.dana.pk)
    assert dana.is_administrator
    assert dana.is_active


def test_s9_one_of_two_administrators_can_lose_the_role(cast: Cast) -> None:
    Member.objects.filter(pk=cast.charlie.pk).update(is_administrator=True)
    response = sign_in(cast.dana).post(f"{USERS}{cast.dana.pk}/", {"name": "Dana", "is_active": "on"})
    assert response.status_code == 302
    assert not Member.objects.get(pk=cast.dana.pk).is_administrator


# -- S10, S11 Create and edit topics ---------------------------------------------------------------------------


def topic_form(cast: Cast, **changes: Any) -> dict[str, Any]:
    defaults = {
        "group": cast.payroll.pk,
        "name": "Bonuses",
        "notifications_enabled": "on",
        "notification_interval_0": "30",
        "notification_interval_1": "minutes",
        "is_active": "on",
    }
    return {name: value for name, value in {**defaults, **changes}.items() if value is not None}


def test_s10_a_manager_creates_a_topic_that_the_whole_group_reads(cast: Cast) -> None:
    assert NEW_TOPIC in text_of(sign_in(cast.alice).get(TOPICS))
    response = sign_in(cast.alice).post(NEW_TOPIC, topic_form(cast))
    topic = Topic.objects.get(name="Bonuses")
    assert response.status_code == 302
    assert response["Location"] == thread(topic)
    assert (topic.group, topic.tenancy) == (cast.payroll, cast.northwind)
    assert "Bonuses" in text_of(sign_in(cast.bob).get(TOPICS))
    assert NEW_TOPIC not in text_of(sign_in(cast.bob).get(TOPICS))


def test_s10_a_new_topic_has_notifications_enabled_and_an_interval_of_30_minutes(cast: Cast) -> None:
    form = sign_in(cast.alice).get(NEW_TOPIC).context["form"]
    assert form["notifications_enabled"].value() is True
    assert form["notification_interval"].value() == 30
    assert form["is_active"].value() is True


def test_s10_a_managers_only_group_is_chosen_already(cast: Cast) -> None:
    alice, chosen = sign_in(cast.alice), f'<option value="{cast.payroll.pk}" selected>'
    assert chosen in text_of(alice.get(NEW_TOPIC))
    save_group(cast.benefits, [cast.mallory, cast.alice])
    assert chosen not in text_of(alice.get(NEW_TOPIC)), "with two groups, there is a choice"


def test_s10_a_manager_edits_a_topic_but_cannot_move_it_to_another_group(cast: Cast) -> None:
    save_group(cast.benefits, [cast.mallory, cast.alice])
    form = topic_form(
        cast,
        group=cast.benefits.pk,
        notifications_enabled=None,
        notification_interval_0="2",
        notification_interval_1="hours",
    )
    assert sign_in(cast.alice).post(f"{thread(cast.payments)}edit/", form).status_code == 302
    cast.payments.refresh_from_db()
    assert (cast.payments.name, cast.payments.group_id) == ("Bonuses", cast.payroll.pk)
    assert (cast.payments.notifications_enabled, cast.payments.notification_interval) == (False, 120)


@pytest.mark.parametrize(
    ("number", "unit", "minutes"),
    [
        ("0", "minutes", 0),
        ("0", "days", 0),
        ("1", "minutes", 1),
        ("90", "minutes", 90),
        ("1.5", "hours", 90),
        ("1,5", "hours", 90),
        (" 0.25 ", "days", 360),
        ("0.125", "days", 180),
        ("1.0", "minutes", 1),
        ("1.0625", "days", 1530),
        ("2", "hours", 120),
        ("168", "hours", 10080),
        ("10080", "minutes", 10080),
        ("7", "days", 10080),
    ],
)
def test_s10_an_interval_is_a_number_and_a_unit_from_0_to_7_days(
    cast: Cast, number: str, unit: str, minutes: int
) -> None:
    form = topic_form(cast, notification_interval_0=number, notification_interval_1=unit)
    assert sign_in(cast.alice).post(f"{thread(cast.payments)}edit/", form).status_code == 302
    cast.payments.refresh_from_db()
    assert cast.payments.notification_interval == minutes


@pytest.mark.parametrize(
    ("number", "unit"),
    [
        ("8", "days"),
        ("169", "hours"),
        ("10081", "minutes"),
        ("-1", "minutes"),
        ("1.5", "minutes"),
        ("0.33", "hours"),
        ("1,000", "minutes"),
        ("1.440", "minutes"),
        ("1.5.0", "hours"),
        (".", "hours"),
        ("1e2", "minutes"),
        ("NaN", "minutes"),
        ("Infinity", "minutes"),
        ("", "minutes"),
        ("x", "minutes"),
        ("1", "weeks"),
        ("1", ""),
        ("9" * 26, "minutes"),
    ],
)
def test_s10_any_other_interval_is_an_error_of_the_field_and_stays_in_the_form(
    cast: Cast, number: str, unit: str
) -> None:
    form = topic_form(cast, notification_interval_0=number, notification_interval_1=unit)
    for path in (f"{thread(cast.payments)}edit/", NEW_TOPIC):
        response = sign_in(cast.alice).post(path, form)
        assert errors_of(response) == {"notification_interval"}
        assert response.context["form"]["notification_interval"].value() == [number, unit]
    cast.payments.refresh_from_db()
    assert cast.payments.notification_interval == 30


@pytest.mark.parametrize(("enabled", "status", "notifications"), [(None, 302, (False, 45)), ("on", 422, (True, 45))])
def test_s10_an_interval_that_is_not_sent_is_kept_while_notifications_are_off(
    cast: Cast, enabled: str | None, status: int, notifications: tuple[bool, int]
) -> None:
    Topic.objects.filter(pk=cast.payments.pk).update(notification_interval=45)
    form = topic_form(cast, notifications_enabled=enabled, notification_interval_0=None, notification_interval_1=None)
    assert sign_in(cast.alice).post(f"{thread(cast.payments)}edit/", form).status_code == status
    cast.payments.refresh_from_db()
    assert (cast.payments.notifications_enabled, cast.payments.notification_interval) == notifications


def test_s10_a_new_topic_without_notifications_gets_the_default_interval(cast: Cast) -> None:
    form = topic_form(cast, notifications_enabled=None, notification_interval_0=None, notification_interval_1=None)
    assert sign_in(cast.alice).post(NEW_TOPIC, form).status_code == 302
    assert Topic.objects.get(name="Bonuses").notification_interval == 30


@pytest.mark.parametrize("name", ["Payments processing", "PAYMENTS Processing", " payments  processing "])
def test_s10_a_topics_name_is_unique_in_its_group_ignoring_case(cast: Cast, name: str) -> None:
    assert errors_of(sign_in(cast.alice).post(NEW_TOPIC, topic_form(cast, name=name))) == {"name"}
    overtime = make_topic(cast.payroll, "Overtime")
    assert errors_of(sign_in(cast.alice).post(f"{thread(overtime)}edit/", topic_form(cast, name=name))) == {"name"}
    own = topic_form(cast, name=name)
    assert sign_in(cast.alice).post(f"{thread(cast.payments)}edit/", own).status_code == 302, "it may keep its own name"


def test_s10_the_same_name_in_another_group_is_free(cast: Cast) -> None:
    assert sign_in(cast.alice).post(NEW_TOPIC, topic_form(cast, name=cast.pensions.name)).status_code == 302


def test_s11_the_question_mark_explains_the_rule_with_an_example_and_a_warning(cast: Cast) -> None:
    for path in (NEW_TOPIC, f"{thread(cast.payments)}edit/"):
        page = text_of(sign_in(cast.alice).get(path))
        assert re.search(r"<button[^>]*>\?</button>", page)
        for expected in ("The rule.", "An example.", "busy topic"):
            assert expected in page


# -- S12 The interval rule, as the thread shows it ----------------------------------------------------------------


def test_s12_the_thread_shows_whether_a_message_is_e_mailed(cast: Cast) -> None:
    bob = sign_in(cast.bob)
    send(bob, cast.payments, "First")
    send(bob, cast.payments, "Second")
    outcome_html = r'class="message-outcome outcome-(\w+)"[^>]*><a[^>]*>([^<]*)<'
    outcomes = re.findall(outcome_html, text_of(bob.get(thread(cast.payments))))
    assert [outcome for outcome, _ in outcomes] == ["email", "no_email"]
    assert "about to be sent" in outcomes[0][1]
    assert "(interval: 30 minutes)" in outcomes[1][1]


# -- S13 Inactive topic --------------------------------------------------------------------------------------------


def test_s13_a_manager_makes_a_topic_inactive_and_active_again(cast: Cast) -> None:
    post(cast.payments, cast.bob, "What was written")
    alice, bob, edit = sign_in(cast.alice), sign_in(cast.bob), f"{thread(cast.payments)}edit/"
    response = alice.post(edit, topic_form(cast, is_active=None))
    assert response.status_code == 302
    assert response["Location"] == TOPICS
    for client in (alice, bob):
        assert client.get(thread(cast.payments)).status_code == 404
        assert "Bonuses" not in text_of(client.get(TOPICS + "?q=")).replace("Bonuses” have been saved", "")
    assert send(bob, cast.payments).status_code == 404
    assert alice.post(edit, topic_form(cast)).status_code == 302
    assert "What was written" in text_of(bob.get(thread(cast.payments)))
