"""Editing and removing messages: who may do it, until when, what stays, and what is not affected."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import transaction
from django.test import Client
from django.utils import timezone

from messenger.groups.services import save_group
from messenger.messages.editing import NotYoursError, TooLateError, edit_message, may_edit, remove_message
from messenger.models import Delivery, Message, Topic
from messenger.notifications.delivery import outbox
from messenger.tasks import notify_members, sweep
from tenancy.models import Member, Tenancy
from tests.support.cast import Cast, post, sign_in
from tests.support.concurrency import PATIENCE, another_connection_waits_for_a_lock, start
from tests.support.smtp import SmtpServer

pytestmark = pytest.mark.django_db

NOON = "2026-11-22 12:00:00+00:00"


def path_of(message: Message) -> str:
    return f"/northwind/messenger/topics/{message.topic_id}/messages/{message.sequence}/"


def edit(message: Message, member: Member, body: str) -> Message:
    member = Member.objects.select_related("tenancy").get(pk=member.pk)
    return edit_message(message.topic_id, message.sequence, member, body)


def remove(message: Message, member: Member, reason: str = "") -> Message:
    return remove_message(message.topic_id, message.sequence, member, reason)


# -- Editing -------------------------------------------------------------------------------------------


def test_an_edit_keeps_every_version_in_order(cast: Cast) -> None:
    message = post(cast.payments, cast.bob, "One")
    for text in ("Two", "Three", "Three"):
        edit(message, cast.bob, text)
    message.refresh_from_db()
    assert message.body == "Three"
    assert message.body_html == "<p>Three</p>\n" or "Three" in message.body_html
    assert list(message.versions.order_by("pk").values_list("body", flat=True)) == ["One", "Two"], (
        "saving an unchanged text adds no version"
    )
    versions = list(message.versions.order_by("pk"))
    assert versions[0].written_at == message.posted_at
    assert versions[0].replaced_at == versions[1].written_at
    assert versions[1].replaced_at == message.edited_at


@pytest.mark.parametrize(
    ("minutes", "after", "allowed"),
    [
        (15, timedelta(minutes=14, seconds=59), True),
        (15, timedelta(minutes=15), False),
        (0, timedelta(0), False),
        (24 * 60, timedelta(hours=23, minutes=59), True),
    ],
)
def test_the_tenancy_sets_the_time_limit_for_editing(cast: Cast, minutes: int, after: timedelta, allowed: bool) -> None:
    Tenancy.objects.filter(pk=cast.northwind.pk).update(edit_minutes=minutes)
    bob = Member.objects.select_related("tenancy").get(pk=cast.bob.pk)
    with time_machine.travel(NOON, tick=False) as clock:
        message = post(cast.payments, cast.bob)
        clock.shift(after)
        assert may_edit(message, bob, timezone.now()) == allowed
        if allowed:
            assert edit(message, cast.bob, "Better").body == "Better"
        else:
            with pytest.raises(TooLateError):
                edit(message, cast.bob, "Better")


def test_members_cannot_edit_messages_of_others_or_messages_they_cannot_read(cast: Cast) -> None:
    message = post(cast.payments, cast.bob)
    with pytest.raises(NotYoursError):
        edit(message, cast.alice, "Mine now")
    with pytest.raises(Message.DoesNotExist):
        edit(message, cast.mallory, "Mine now")
    save_group(cast.payroll, [cast.alice])
    with pytest.raises(Message.DoesNotExist):
        edit(message, cast.bob, "I was here")


@pytest.mark.django_db(transaction=True)
def test_an_edit_waits_for_an_uncommitted_removal_from_the_group_and_then_finds_no_message(cast: Cast) -> None:
    message = post(cast.payments, cast.bob, "Fine")
    with transaction.atomic():
        save_group(cast.payroll, [cast.alice])
        late = start(lambda: edit(message, cast.bob, "Too late"))
        assert another_connection_waits_for_a_lock()
    assert isinstance(late.exception(PATIENCE), Message.DoesNotExist)
    assert Message.objects.get(pk=message.pk).body == "Fine"


def test_an_invalid_edit_changes_nothing(cast: Cast) -> None:
    message = post(cast.payments, cast.bob, "Fine")
    with pytest.raises(ValidationError):
        edit(message, cast.bob, " ")
    message.refresh_from_db()
    assert message.body == "Fine"
    assert not message.versions.exists()


def test_edits_and_removals_send_no_e_mail_and_do_not_restart_the_interval(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        first = post(cast.payments, cast.bob)
        notify_members(first.pk)
        mails = len(smtp.mails)
        clock.shift(timedelta(minutes=10))
        edit(first, cast.bob, "Edited")
        remove(first, cast.bob)
        sweep()
        topic = Topic.objects.get(pk=cast.payments.pk)
        assert len(smtp.mails) == mails
        assert topic.last_activity_at == first.posted_at
        clock.shift(timedelta(minutes=20))
        second = post(cast.payments, cast.bob)
        assert (second.outcome, second.elapsed) == ("email", timedelta(minutes=30)), "elapsed since the removed message"


def test_open_threads_receive_edits_and_removals(cast: Cast) -> None:
    message = post(cast.payments, cast.bob, "One")
    alice, revision = sign_in(cast.alice), Topic.objects.get(pk=cast.payments.pk).revision
    rows = f"/northwind/messenger/topics/{cast.payments.pk}/messages/"
    assert "data-sequence" not in alice.get(rows, {"since": str(revision), "from": "1"}).content.decode()
    edit(message, cast.bob, "Two")
    changed = alice.get(rows, {"since": str(revision), "from": "1"}).content.decode()
    assert changed.count("data-sequence") == 1
    assert "Two" in changed
    assert "edited" in changed
    remove(message, cast.bob)
    changed = alice.get(rows, {"since": str(revision), "from": "1"}).content.decode()
    assert "Two" not in changed
    assert "This message was removed by its author." in changed


# -- Removing ------------------------------------------------------------------------------------------


def test_a_removed_text_is_gone_everywhere_and_its_message_stays(cast: Cast) -> None:
    message = post(cast.payments, cast.bob, "Secret one")
    edit(message, cast.bob, "Secret two")
    post(cast.payments, cast.bob, "After it")
    remove(message, cast.bob)
    alice = sign_in(cast.alice)
    for path in (f"/northwind/messenger/topics/{cast.payments.pk}/", path_of(message), "/northwind/messenger/"):
        assert "Secret" not in alice.get(path).content.decode()
    assert alice.get(path_of(message) + "history/").status_code == 404
    message.refresh_from_db()
    assert (message.body, message.body_html, message.sequence) == ("", "", 1)
    assert not message.versions.exists()
    with pytest.raises(TooLateError):
        edit(message, cast.bob, "Back again")


@pytest.mark.parametrize("fanned_out", [True, False])
def test_removing_a_message_cancels_its_pending_e_mails(cast: Cast, smtp: SmtpServer, fanned_out: bool) -> None:
    message = post(cast.payments, cast.alice)
    if fanned_out:
        outbox.fan_out(message.pk)
    remove(message, cast.alice)
    sweep()
    assert smtp.recipients == []
    assert Delivery.objects.values_list("state", "reason").get(member=cast.bob) == ("not_sent", "removed")


def test_an_administrator_in_the_group_can_remove_messages_of_others_with_a_reason(cast: Cast) -> None:
    message = post(cast.payments, cast.bob, "Names and salaries")
    dana = sign_in(cast.dana)
    assert dana.post(path_of(message) + "remove/", {"reason": "Names"}).status_code == 404, "not in the group"
    save_group(cast.payroll, [cast.alice, cast.bob, cast.dana])
    assert sign_in(cast.alice).post(path_of(message) + "remove/", {"reason": "Names"}).status_code == 403
    assert dana.post(path_of(message) + "remove/", {}).status_code == 422, "without a reason"
    assert dana.post(path_of(message) + "remove/", {"reason": "Names <b>"}).status_code == 302
    page = sign_in(cast.bob).get(f"/northwind/messenger/topics/{cast.payments.pk}/").content.decode()
    assert "This message was removed by Dana Dvorak: Names &lt;b&gt;" in page
    assert "Names and salaries" not in page


def test_an_edit_that_comes_too_late_returns_the_text_with_an_error(cast: Cast) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        message = post(cast.payments, cast.bob)
        clock.shift(timedelta(hours=1))
        answer = sign_in(cast.bob).post(path_of(message) + "edit/", {"body": "Typed with care"})
    assert answer.status_code == 422
    assert "too late" in answer.content.decode()
    assert "Typed with care" in answer.content.decode()


def test_a_removed_message_says_quietly_that_it_was_e_mailed(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    post(cast.payments, cast.alice)
    remove_message(cast.payments.pk, 1, cast.alice)
    page = sign_in(cast.bob).get(f"/northwind/messenger/topics/{cast.payments.pk}/").content.decode()
    assert re.findall(r'class="message-outcome (outcome-\w+)"', page) == ["outcome-removed", "outcome-no_email"]


# -- Unread --------------------------------------------------------------------------------------------


def unread_badge(member: Member) -> str:
    page = sign_in(member).get("/northwind/messenger/").content.decode()
    count = page.partition("data-unread-topics")[2].partition("<span data-count>")[2].partition("<")[0]
    assert count, "or the test proves nothing"
    return count


def test_unread_messages_are_counted_in_the_list_and_in_the_menu(cast: Cast) -> None:
    for _ in range(3):
        post(cast.payments, cast.alice)
    assert unread_badge(cast.bob) == "1"
    assert unread_badge(cast.alice) == "0", "her own messages are read"
    bob = sign_in(cast.bob)
    page = bob.get("/northwind/messenger/").content.decode()
    assert "topic-unread" in page
    assert f"/topics/{cast.payments.pk}/#new" in page
    thread = bob.get(f"/northwind/messenger/topics/{cast.payments.pk}/").content.decode()
    assert thread.index('id="new"') < thread.index('id="message-1"')
    assert bob.post(f"/northwind/messenger/topics/{cast.payments.pk}/read/", {"up_to": "2"}).status_code == 204
    thread = bob.get(f"/northwind/messenger/topics/{cast.payments.pk}/").content.decode()
    assert thread.index('id="message-2"') < thread.index('id="new"') < thread.index('id="message-3"')
    assert bob.post("/northwind/messenger/read/").status_code == 302
    assert unread_badge(cast.bob) == "0"


def test_only_mark_unread_moves_the_position_back(cast: Cast) -> None:
    for _ in range(3):
        post(cast.payments, cast.alice)
    bob, topic = sign_in(cast.bob), f"/northwind/messenger/topics/{cast.payments.pk}/"
    for up_to in ("3", "1"):
        bob.post(topic + "read/", {"up_to": up_to})
    assert unread_badge(cast.bob) == "0"
    bob.post(topic + "unread/", {"sequence": "2"})
    thread = bob.get(topic).content.decode()
    assert thread.index('id="message-1"') < thread.index('id="new"') < thread.index('id="message-2"')


def test_without_javascript_a_button_marks_a_topic_as_read(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    bob, topic = sign_in(cast.bob), f"/northwind/messenger/topics/{cast.payments.pk}/"
    button = f'<noscript><form method="post" action="{topic}read/".*?</noscript>'
    (form,) = re.findall(button, page_of(bob, topic), re.DOTALL)
    fields = dict(re.findall(r'name="(\w+)" value="(\w+)"', form))
    assert fields | {"csrfmiddlewaretoken": ""} == {
        "csrfmiddlewaretoken": "",
        "made_for": str(cast.bob.pk),
        "up_to": "1",
        "back": "1",
    }
    assert unread_badge(cast.bob) == "1", "loading the page alone marks nothing as read"
    response = bob.post(f"{topic}read/", fields)
    assert (response.status_code, response["Location"]) == (302, topic)
    assert unread_badge(cast.bob) == "0"
    assert "<noscript>" not in page_of(bob, topic), "nothing is left to mark"


def page_of(client: Client, path: str) -> str:
    return client.get(path).content.decode()


@pytest.mark.parametrize("query", ["", "?up_to=1", "?up_to=999999", "?back=1&up_to=1"])
@pytest.mark.parametrize("method", ["get", "head"])
def test_opening_an_address_marks_nothing_as_read(cast: Cast, method: str, query: str) -> None:
    post(cast.payments, cast.alice)
    topic = f"/northwind/messenger/topics/{cast.payments.pk}/"
    response = getattr(sign_in(cast.bob), method)(f"{topic}read/{query}")
    assert (response.status_code, response["Location"]) == (302, topic)
    assert unread_badge(cast.bob) == "1"


@pytest.mark.parametrize("read_up_to", [0, 30, 100, 115])
def test_a_long_thread_opens_where_its_reader_stopped(cast: Cast, read_up_to: int) -> None:
    for _ in range(120):
        post(cast.payments, cast.alice)
    bob, topic = sign_in(cast.bob), f"/northwind/messenger/topics/{cast.payments.pk}/"
    if read_up_to:
        bob.post(topic + "read/", {"up_to": str(read_up_to)})
    page = bob.get(topic).content.decode()
    assert page.count("data-sequence") == 50
    assert page.index('id="new"') < page.index(f'id="message-{read_up_to + 1}"')


@pytest.mark.parametrize("at", [1, 60, 120])
def test_a_permalink_opens_the_page_around_its_message(cast: Cast, at: int) -> None:
    for _ in range(120):
        post(cast.payments, cast.alice)
    page = sign_in(cast.bob).get(f"/northwind/messenger/topics/{cast.payments.pk}/", {"at": str(at)}).content.decode()
    assert f'id="message-{at}"' in page
    assert f"?at={at}#message-{at}" in page


@pytest.mark.parametrize("up_to", ["", "x", "-1", "9" * 26, "1e3"])
def test_an_invalid_position_is_ignored(cast: Cast, up_to: str) -> None:
    post(cast.payments, cast.alice)
    topic = f"/northwind/messenger/topics/{cast.payments.pk}/"
    assert sign_in(cast.bob).post(topic + "read/", {"up_to": up_to}).status_code == 302
    assert unread_badge(cast.bob) == "1"


def test_a_position_beyond_the_end_counts_as_the_end(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    sign_in(cast.bob).post(f"/northwind/messenger/topics/{cast.payments.pk}/read/", {"up_to": "999999"})
    post(cast.payments, cast.alice)
    assert unread_badge(cast.bob) == "1"
