"""What the interface shows about mails: before a message is posted, below the message, and in its record."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from messenger.groups.services import save_group
from messenger.models import Delivery, MailPreference, Message, Topic
from messenger.notifications.catch_up import digest
from messenger.notifications.delivery import outbox
from messenger.notifications.explanations.forecast import forecast
from messenger.notifications.preferences.services import preference_of, save_preference, set_muted
from messenger.tasks import notify_members
from messenger.topics.services import save_topic
from tenancy.members import save_member
from tenancy.models import Member
from tests.support.cast import Cast, make_member, post, sign_in
from tests.support.faults import mail_server_away
from tests.support.smtp import SmtpServer

pytestmark = pytest.mark.django_db

NOON = "2026-11-22 12:00:00+00:00"


def path_of(topic: Topic) -> str:
    return f"/northwind/messenger/topics/{topic.pk}/"


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def line(member: Member, topic: Topic) -> str:
    changes = sign_in(member).get(f"{path_of(topic)}messages/", {"since": 10**9}).content.decode()
    return words(changes.partition("<template data-now")[2].partition(">")[2])


def change(topic: Topic, **columns: Any) -> None:
    topic = Topic.objects.get(pk=topic.pk)
    for name, value in columns.items():
        setattr(topic, name, value)
    save_topic(topic)


def outcome(member: Member, message: Message) -> str:
    page = sign_in(member).get(path_of(message.topic)).content.decode()
    row = page.split(f'id="message-{message.sequence}"')[1]
    return words(row.split('class="message-outcome')[1].partition(">")[2].partition("</p>")[0])


def record(member: Member, message: Message) -> str:
    path = f"{path_of(message.topic)}messages/{message.sequence}/record/"
    return words(sign_in(member).get(path, headers={"X-Requested-With": "fetch"}).content.decode())


# -- Forecast ------------------------------------------------------------------------------------------


def test_the_composer_shows_what_posting_now_would_do(cast: Cast) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        assert line(cast.alice, cast.payments) == "If you send now, 1 person will get an e-mail."
        post(cast.payments, cast.alice)
        clock.shift(timedelta(minutes=10))
        until = (
            "No e-mail if you send now: the last message is less than 30 minutes old. "
            "If no one posts before 12:30:00, the next message will be e-mailed to 1 person."
        )
        assert line(cast.bob, cast.payments).startswith(until)
        page = sign_in(cast.bob).get(path_of(cast.payments)).content.decode()
        assert until in words(page)
        assert 'data-seconds="1200"' in page
        clock.shift(timedelta(minutes=19, seconds=59))
        assert line(cast.bob, cast.payments).startswith(until)
        clock.shift(timedelta(seconds=1))
        assert line(cast.bob, cast.payments) == "If you send now, 1 person will get an e-mail."
        change(cast.payments, notifications_enabled=False)
        assert (
            line(cast.bob, cast.payments)
            == "No e-mail: notifications are off for this topic. The group can still read your message here."
        )


def test_the_forecast_names_the_day_if_it_is_not_today(cast: Cast) -> None:
    change(cast.payments, notification_interval=24 * 60)
    with time_machine.travel(NOON, tick=False):
        post(cast.payments, cast.alice)
        assert "If no one posts before Mon 23 Nov, 12:00:00" in line(cast.bob, cast.payments)


def test_the_forecast_counts_the_same_recipients_as_fan_out(cast: Cast) -> None:
    """For every reason not to be mailed, and for own messages."""
    crowd = [make_member(cast.northwind, f"{name} Crowd") for name in ("Fay", "Gus", "Hal", "Ida")]
    save_group(cast.payroll, [cast.alice, cast.bob, *crowd])
    change(cast.payments, notification_interval=0)
    set_muted(cast.payments, crowd[0], True)
    crowd[1].is_active = False
    save_member(crowd[1])
    own = preference_of(crowd[2])
    own.own_messages = True
    save_preference(own)
    for author, expected in [(cast.alice, 3), (crowd[2], 4), (crowd[0], 4)]:
        before = forecast(Topic.objects.get(pk=cast.payments.pk), author, timezone.now())
        message = post(cast.payments, author)
        outbox.fan_out(message.pk)
        message.refresh_from_db()
        assert before.recipients == message.addressees == expected
        assert Delivery.objects.filter(message=message, state="waiting").count() == expected


def test_a_topic_without_recipients_is_explained_before_and_after_posting(cast: Cast) -> None:
    set_muted(cast.payments, cast.bob, True)
    assert "no one else gets e-mails" in line(cast.alice, cast.payments)
    message = post(cast.payments, cast.alice)
    notify_members(message.pk)
    assert outcome(cast.bob, message) == "Not e-mailed: no one else gets e-mails about this topic"
    assert "there was no one in the group to e-mail" in record(cast.bob, message)


@pytest.mark.parametrize("what", ["post", "interval", "join", "mute", "deactivate"])
def test_a_change_of_the_forecast_raises_the_revision(cast: Cast, what: str) -> None:
    def revision() -> int:
        return Topic.objects.get(pk=cast.payments.pk).revision

    before = revision()
    if what == "post":
        post(cast.payments, cast.alice)
    elif what == "interval":
        change(cast.payments, notification_interval=5)
    elif what == "join":
        save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    elif what == "mute":
        set_muted(cast.payments, cast.bob, True)
    else:
        cast.bob.is_active = False
        save_member(cast.bob)
    assert revision() > before


# -- Below the message ---------------------------------------------------------------------------------


def test_the_line_below_a_message_follows_its_mails(cast: Cast, smtp: SmtpServer, settings: Any) -> None:
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie, cast.mallory])
    message = post(cast.payments, cast.alice)
    assert outcome(cast.alice, message) == "E-mails to the group are about to be sent"
    with mail_server_away(settings):
        notify_members(message.pk)
    assert outcome(cast.alice, message) == "E-mails to 3 people are on their way"
    smtp.refusals = {cast.bob.user.email: "450 Later", cast.mallory.user.email: "550 No"}
    notify_members(message.pk)
    assert outcome(cast.alice, message) == "E-mailed to 1 of 3 people, 1 on the way, 1 failed"
    save_group(cast.payroll, [cast.alice, cast.charlie, cast.mallory])
    assert outcome(cast.alice, message) == "E-mailed to 1 of 3 people, 1 failed, 1 cancelled"


def test_the_line_below_a_message_counts_the_mails_once_all_are_sent(cast: Cast, smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    before = Topic.objects.get(pk=cast.payments.pk).revision
    notify_members(message.pk)
    assert outcome(cast.bob, message) == "E-mailed to 1 person"
    assert Topic.objects.get(pk=cast.payments.pk).revision > before, "open threads are notified"


# -- The record ----------------------------------------------------------------------------------------


def test_the_record_explains_for_each_member_what_they_received(cast: Cast, smtp: SmtpServer) -> None:
    people = {name: make_member(cast.northwind, f"{name} Crowd") for name in ("Fay", "Gus", "Hal", "Ida", "Jon")}
    save_group(cast.payroll, [cast.alice, cast.bob, *people.values()])
    set_muted(cast.payments, people["Fay"], True)
    people["Gus"].is_active = False
    save_member(people["Gus"])
    message = post(cast.payments, cast.alice)
    outbox.fan_out(message.pk)
    save_group(cast.payroll, [cast.alice, cast.bob, *[people[name] for name in ("Fay", "Gus", "Ida", "Jon")]])
    smtp.refusals = {people["Ida"].user.email: "550 No such user", people["Jon"].user.email: "450 Busy"}
    notify_members(message.pk)
    text = record(cast.bob, message)
    assert text.startswith("E-mailed to 1 of 4 people, 1 on the way, 1 failed, 1 cancelled")
    assert "It was e-mailed because it was the first message in the topic." in text
    assert "7 people were in the group at the time" in text
    assert re.search(r"Bob Brandt you E-mailed, \d+ \w+ \d{4}, \d\d:\d\d", text)
    for sentence in (
        "Alice Almeida Not e-mailed: wrote the message",
        "Fay Crowd Not e-mailed: had muted the topic",
        "Gus Crowd Not e-mailed: was an inactive user",
        "Hal Crowd Not e-mailed: left the group before the e-mail was sent",
        "Ida Crowd Failed: the mail server refused the e-mail",
        "Jon Crowd Waiting: the mail server has not accepted the e-mail yet (1 attempt). Messenger will try again",
    ):
        assert sentence in text


def test_the_record_shows_interval_and_members_at_the_time_of_posting(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(NOON) as clock:
        post(cast.payments, cast.alice)
        clock.shift(timedelta(minutes=14))
        silent = post(cast.payments, cast.alice)
    change(cast.payments, notification_interval=5)
    save_group(cast.payroll, [cast.alice, cast.charlie])
    text = record(cast.charlie, silent)
    assert text.startswith("Not e-mailed: 14 minutes after the previous message (interval: 30 minutes)")
    assert "which is less than the notification interval of 30 minutes" in text
    assert "2 people were in the group at the time" in text
    assert "Alice Almeida Not e-mailed: wrote the message" in text
    assert re.search("Bob Brandt Not e-mailed(?!:)", text), "he wrote nothing: there is no other reason"
    assert "Charlie Chen" not in text
    assert "1 person joined the group later" in text


def test_the_record_mentions_the_catch_up_mail_that_counted_the_message(cast: Cast, smtp: SmtpServer) -> None:
    change(cast.payments, notifications_enabled=False)
    with time_machine.travel(NOON) as clock:
        preference = preference_of(cast.bob)
        preference.catch_up = MailPreference.CatchUp.DAILY
        save_preference(preference)
        message = post(cast.payments, cast.alice)
        clock.move_to("2026-11-23 07:00:00+00:00")
        digest.send_due()
    assert len(smtp.mails) == 1, "or the test proves nothing"
    assert "Included in the catch-up e-mail of 23 November 2026, 07:00" in record(cast.alice, message)


def test_the_record_shows_no_address_from_the_mail_servers_answer(cast: Cast, smtp: SmtpServer) -> None:
    smtp.refusals[cast.bob.user.email] = f"550 <{cast.bob.user.email}> unknown"
    message = post(cast.payments, cast.alice)
    notify_members(message.pk)
    assert cast.bob.user.email in Delivery.objects.get(member=cast.bob).last_error, "or the test proves nothing"
    assert "refused" in record(cast.alice, message)
    assert "@" not in record(cast.alice, message)


def test_the_record_of_a_large_group_has_several_pages(cast: Cast) -> None:
    crowd = [make_member(cast.northwind, f"Crowd{number:03} Person") for number in range(120)]
    save_group(cast.payroll, [cast.alice, cast.bob, *crowd])
    message = post(cast.payments, cast.alice)
    path, bob = f"{path_of(cast.payments)}messages/1/record/", sign_in(cast.bob)
    first, second = (bob.get(path, {"page": str(page)}).content.decode() for page in (1, 2))
    names = re.findall(r"Crowd\d{3}", first + second)
    assert len(names) == len(set(names)) == 120
    assert bob.get(path, {"page": "3"}).status_code == 404
    assert message.sequence == 1


def test_the_record_of_a_large_group_is_searched_by_name(cast: Cast) -> None:
    crowd = [
        make_member(cast.northwind, f"Crowd{number:03} {'Even' if number % 2 else 'Odd'}") for number in range(240)
    ]
    save_group(cast.payroll, [cast.alice, cast.bob, *crowd])
    post(cast.payments, cast.alice)
    Member.objects.filter(pk=crowd[0].pk).update(name="Jiří Dvořák")
    path, bob = f"{path_of(cast.payments)}messages/1/record/", sign_in(cast.bob)

    def names(**query: str) -> list[str]:
        page = bob.get(path, query).content.decode()
        assert "242 people were in the group at the time" in page, "whatever is searched for"
        return re.findall(r'class="record-name"><bdi>([^<]*)<', page)

    assert 'name="q"' in bob.get(path).content.decode()
    assert names(q="crowd017") == ["Crowd017 Even"]
    assert names(q="dvorak") == ["Jiří Dvořák"], "names are folded here as everywhere"
    assert names(q=" BRANDT ") == ["Bob Brandt"], "the reader"
    assert names(q="nobody") == []
    assert names(q="charlie") == [], "Charlie is not in the group"
    assert names(q="%") == []
    evens = names(q="even") + names(q="even", page="2")
    assert evens == [f"Crowd{number:03} Even" for number in range(1, 240, 2)]
    assert "?page=2&amp;q=even" in bob.get(path, {"q": "even"}).content.decode()
    assert bob.get(path, {"q": "even", "page": "3"}).status_code == 404


@pytest.mark.parametrize("sequence", ["0", "2", "999999999999999999"])
def test_the_record_of_a_missing_message_is_a_404(cast: Cast, sequence: str) -> None:
    post(cast.payments, cast.alice)
    assert sign_in(cast.bob).get(f"{path_of(cast.payments)}messages/{sequence}/record/").status_code == 404
