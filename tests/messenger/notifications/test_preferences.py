"""What members choose about their own mails: muted topics, own messages, the catch-up mail."""

from datetime import UTC, datetime, timedelta
from threading import Event
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from common.mail import sending
from messenger.groups.services import save_group
from messenger.models import CatchUp, CatchUpTopic, Delivery, MailPreference, Message, ReadPosition, Topic, TopicMute
from messenger.notifications.catch_up import digest
from messenger.notifications.catch_up import mail as catch_up_mail
from messenger.notifications.catch_up.schedule import is_too_early, next_morning
from messenger.notifications.delivery import outbox
from messenger.notifications.preferences.services import preference_of, save_preference, set_muted
from messenger.reading.positions import mark_read
from messenger.tasks import notify_members, send_catch_ups, sweep
from tenancy.members import save_member, set_messenger_enabled
from tenancy.models import Member
from tests.support.cast import Cast, make_topic, post, sign_in
from tests.support.concurrency import PATIENCE, somebody_waits_for_a_lock, start
from tests.support.faults import mail_server_away
from tests.support.smtp import SmtpServer

pytestmark = pytest.mark.django_db

DAILY, WEEKDAYS, NEVER = MailPreference.CatchUp.DAILY, MailPreference.CatchUp.WEEKDAYS, MailPreference.CatchUp.NEVER


def record(message: Message, member: Member) -> tuple[str, str]:
    return Delivery.objects.values_list("state", "reason").get(message=message, member=member)


# -- Muting --------------------------------------------------------------------------------------------


def test_who_mutes_a_topic_gets_no_mails_about_it_and_everybody_else_does(cast: Cast, smtp: SmtpServer) -> None:
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    set_muted(cast.payments, cast.bob, True)
    message = post(cast.payments, cast.alice)
    notify_members(message.pk)
    assert smtp.recipients == [cast.charlie.user.email]
    assert record(message, cast.bob) == ("not_sent", "muted")
    message.refresh_from_db()
    assert message.addressees == 1


@pytest.mark.parametrize("fanned_out", [True, False])
def test_muting_cancels_what_waits_and_unmuting_sends_nothing_late(
    cast: Cast, smtp: SmtpServer, fanned_out: bool
) -> None:
    message = post(cast.payments, cast.alice)
    if fanned_out:
        outbox.fan_out(message.pk)
    set_muted(cast.payments, cast.bob, True)
    assert record(message, cast.bob) == ("not_sent", "muted")
    set_muted(cast.payments, cast.bob, False)
    sweep()
    assert smtp.recipients == []


def test_what_was_posted_while_it_was_muted_is_not_mailed_after_it(cast: Cast, smtp: SmtpServer) -> None:
    set_muted(cast.payments, cast.bob, True)
    message = post(cast.payments, cast.alice)
    assert not Delivery.objects.exists(), "or the test proves nothing"
    set_muted(cast.payments, cast.bob, False)
    sweep()
    assert smtp.recipients == []
    assert record(message, cast.bob) == ("not_sent", "muted")


def test_a_mute_is_asked_for_again_when_the_mail_goes_out(cast: Cast, smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    outbox.fan_out(message.pk)
    TopicMute.objects.create(tenancy=cast.northwind, topic=cast.payments, member=cast.bob)  # past every door
    sweep()
    assert smtp.recipients == []
    assert record(message, cast.bob) == ("not_sent", "muted")


def test_the_button_in_the_topic_mutes_and_unmutes_and_preferences_list_it(cast: Cast) -> None:
    bob, path = sign_in(cast.bob), f"/northwind/messenger/topics/{cast.payments.pk}/"
    preferences = "/northwind/messenger/preferences/"
    assert 'name="muted" value="1"' in bob.get(path).content.decode()
    assert bob.post(f"{path}mute/", {"muted": "1"})["Location"] == path
    assert "Unmute <span" in bob.get(path).content.decode()
    assert "Muted by you" in bob.get("/northwind/messenger/").content.decode()
    assert "Payments processing" in bob.get(preferences).content.decode()
    assert "Unmute <span" not in sign_in(cast.alice).get(path).content.decode(), "Bob's own choice"
    assert bob.post(f"{path}mute/", {"from": "preferences"})["Location"] == preferences
    muted_topics = bob.get(preferences).content.decode().partition('id="muted-topics"')[2]
    assert muted_topics, "or the test proves nothing"
    assert "Payments processing" not in muted_topics
    assert not TopicMute.objects.exists()


# -- Own messages --------------------------------------------------------------------------------------


def choose(member: Member, **columns: object) -> MailPreference:
    choice = preference_of(member)
    for name, value in columns.items():
        setattr(choice, name, value)
    save_preference(choice)
    return choice


@pytest.mark.parametrize("fanned_out", [True, False])
def test_to_choose_own_messages_counts_from_the_next_message_on(cast: Cast, smtp: SmtpServer, fanned_out: bool) -> None:
    message = post(cast.payments, cast.alice)
    if fanned_out:
        outbox.fan_out(message.pk)
    choose(cast.alice, own_messages=True)
    sweep()
    assert smtp.recipients == [cast.bob.user.email]
    assert record(message, cast.alice) == ("not_sent", "author")


def test_not_to_want_own_messages_any_more_cancels_those_that_wait(cast: Cast, smtp: SmtpServer) -> None:
    choose(cast.alice, own_messages=True)
    message = post(cast.payments, cast.alice)
    choose(cast.alice, own_messages=False)
    sweep()
    assert smtp.recipients == [cast.bob.user.email]
    assert record(message, cast.alice) == ("not_sent", "author")


def test_it_is_asked_for_again_when_the_mail_goes_out(cast: Cast, smtp: SmtpServer) -> None:
    choose(cast.alice, own_messages=True)
    message = post(cast.payments, cast.alice)
    outbox.fan_out(message.pk)
    assert record(message, cast.alice) == ("waiting", ""), "or the test proves nothing"
    # As it is where the mail was just going out, and did not after all: what goes out is not waited for.
    MailPreference.objects.filter(member=cast.alice).update(own_messages=False)
    sweep()
    assert smtp.recipients == [cast.bob.user.email]
    assert record(message, cast.alice) == ("not_sent", "author")


# -- Mornings ------------------------------------------------------------------------------------------


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "zone", "weekdays_only", "morning"),
    [
        # 2026-11-20 is a Friday.
        ("2026-11-20 05:59", "Europe/Berlin", False, "2026-11-20 06:00"),
        ("2026-11-20 06:00", "Europe/Berlin", False, "2026-11-21 06:00"),
        ("2026-11-20 06:00", "Europe/Berlin", True, "2026-11-23 06:00"),
        ("2026-11-21 12:00", "Europe/Berlin", True, "2026-11-23 06:00"),
        ("2026-11-21 12:00", "Europe/Berlin", False, "2026-11-22 06:00"),
        ("2026-11-22 21:30", "Asia/Tokyo", True, "2026-11-22 22:00"),  # Monday there already
        ("2026-11-20 20:00", "Pacific/Auckland", True, "2026-11-22 18:00"),
        ("2026-11-20 23:00", "America/Sao_Paulo", False, "2026-11-21 10:00"),
        # The clocks go back in the night to 25 October, and forward in the night to 29 March.
        ("2026-10-24 12:00", "Europe/Berlin", False, "2026-10-25 06:00"),
        ("2026-03-28 12:00", "Europe/Berlin", False, "2026-03-29 05:00"),
    ],
)
def test_the_next_morning_is_at_7_in_the_members_time_zone(
    now: str, zone: str, weekdays_only: bool, morning: str
) -> None:
    found = next_morning(utc(now), ZoneInfo(zone), weekdays_only)
    assert found == utc(morning)
    assert not is_too_early(found, ZoneInfo(zone), weekdays_only)
    assert is_too_early(found - timedelta(seconds=1), ZoneInfo(zone), weekdays_only)


# -- The catch-up mail ---------------------------------------------------------------------------------

SUNDAY_NOON = "2026-11-22 12:00:00+00:00"
MONDAY_MORNING = "2026-11-23 07:00:00+00:00"  # everybody's time zone here is UTC
TUESDAY_MORNING = "2026-11-24 07:00:00+00:00"


def post_silently(topic: Topic, author: Member, count: int = 1) -> None:
    """Messages that nobody is e-mailed about."""
    Topic.objects.filter(pk=topic.pk).update(notifications_enabled=False)
    for _ in range(count):
        assert post(topic, author).outcome == "no_email"


def test_what_is_unread_and_was_not_mailed_is_counted_in_the_morning(cast: Cast, smtp: SmtpServer) -> None:
    cut_off = make_topic(cast.payroll, "Cut-off")
    with time_machine.travel(SUNDAY_NOON):
        choose(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice, 3)
        post_silently(cut_off, cast.alice, 1)
        send_catch_ups()
        assert smtp.recipients == [], "not before the morning"
    with time_machine.travel(MONDAY_MORNING):
        send_catch_ups()
        send_catch_ups()
    assert smtp.recipients == [cast.bob.user.email], "once, and to nobody who did not choose it"
    text = smtp.mails[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "4 unread messages" in text
    assert "3 messages" in text
    assert f"/northwind/messenger/topics/{cut_off.pk}/" in text
    assert "Cut-off" not in text, "the level is minimal"
    assert "Hello" not in text, "counts and links only"


def test_a_message_that_was_mailed_is_not_counted_and_one_that_failed_is(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(SUNDAY_NOON):
        choose(cast.bob, catch_up=DAILY)
        notify_members(post(cast.payments, cast.alice).pk)
        assert smtp.recipients == [cast.bob.user.email]
        assert digest.unread_topics_of(cast.bob) == []
        smtp.refusals[cast.bob.user.email] = "550 No"
        notify_members(post(make_topic(cast.payroll, "Failing"), cast.alice).pk)
        assert [one.messages for one in digest.unread_topics_of(cast.bob)] == [1]


@pytest.mark.parametrize("written", [True, False])
def test_a_message_whose_mail_is_on_its_way_is_counted_when_that_fails_and_not_before(
    cast: Cast, smtp: SmtpServer, written: bool
) -> None:
    with time_machine.travel(SUNDAY_NOON) as clock:
        choose(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice)
        clock.move_to("2026-11-23 06:59:30+00:00")
        Topic.objects.filter(pk=cast.payments.pk).update(notifications_enabled=True)
        message = post(cast.payments, cast.alice)
        smtp.refusals[cast.bob.user.email] = "450 Later"
        if written:
            notify_members(message.pk)
            assert record(message, cast.bob) == ("waiting", ""), "or the test proves nothing"
        post_silently(cast.payments, cast.alice)
        assert digest.unread_topics_of(cast.bob) == [catch_up_mail.UnreadTopic(cast.payments, 0, 1, 1)]
        smtp.refusals.clear()
        clock.move_to(MONDAY_MORNING)
        send_catch_ups()
        assert CatchUpTopic.objects.get().up_to_sequence == 1
        smtp.refusals[cast.bob.user.email] = "550 No"
        clock.shift(timedelta(hours=1))
        sweep()
        assert record(message, cast.bob) == ("failed", "refused")
        assert digest.unread_topics_of(cast.bob) == [catch_up_mail.UnreadTopic(cast.payments, 1, 3, 2)]


def test_never_when_all_is_read(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(SUNDAY_NOON):
        choose(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice, 3)
        sign_in(cast.bob).post(f"/northwind/messenger/topics/{cast.payments.pk}/read/", {"up_to": "3"})
    with time_machine.travel(MONDAY_MORNING):
        send_catch_ups()
        assert preference_of(cast.bob).next_catch_up_at == datetime.fromisoformat(TUESDAY_MORNING)
    assert smtp.recipients == []
    assert not CatchUp.objects.exists()


def test_each_message_is_counted_in_one_catch_up_mail_only(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(SUNDAY_NOON):
        choose(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice, 3)
    with time_machine.travel(MONDAY_MORNING):
        send_catch_ups()
        assert len(smtp.mails) == 1
    with time_machine.travel(TUESDAY_MORNING) as clock:
        send_catch_ups()
        assert len(smtp.mails) == 1, "nothing new, no nagging"
        post_silently(cast.payments, cast.alice)
        clock.shift(timedelta(days=1))
        send_catch_ups()
    assert len(smtp.mails) == 2
    assert list(CatchUpTopic.objects.order_by("pk").values_list("after_sequence", "up_to_sequence", "messages")) == [
        (0, 3, 3),
        (3, 4, 1),
    ]


@pytest.mark.parametrize("why", ["muted", "own", "left", "inactive", "messenger off", "joined later"])
def test_what_one_may_not_read_or_does_not_want_is_left_out(cast: Cast, smtp: SmtpServer, why: str) -> None:
    reader = cast.charlie if why == "joined later" else cast.bob
    with time_machine.travel(SUNDAY_NOON):
        choose(reader, catch_up=DAILY)
        post_silently(cast.payments, cast.bob if why == "own" else cast.alice, 2)
        if why == "joined later":
            save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
        else:
            assert bool(digest.unread_topics_of(cast.bob)) == (why != "own"), "or the test proves nothing"
        if why == "muted":
            set_muted(cast.payments, cast.bob, True)
        elif why == "left":
            save_group(cast.payroll, [cast.alice])
        elif why == "inactive":
            cast.bob.is_active = False
            save_member(cast.bob)
        elif why == "messenger off":
            set_messenger_enabled(cast.northwind, False)
    with time_machine.travel(MONDAY_MORNING):
        send_catch_ups()
    assert smtp.recipients == []


def test_on_weekdays_only_the_weekend_waits_for_monday(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel("2026-11-20 12:00:00+00:00") as clock:  # a Friday
        choose(cast.bob, catch_up=WEEKDAYS)
        post_silently(cast.payments, cast.alice)
        for day in ("2026-11-21", "2026-11-22"):
            clock.move_to(f"{day} 09:00:00+00:00")
            send_catch_ups()
            assert smtp.recipients == []
        clock.move_to(MONDAY_MORNING)
        send_catch_ups()
    assert len(smtp.mails) == 1


def test_who_moved_to_another_time_zone_gets_it_in_the_morning_there(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(SUNDAY_NOON) as clock:
        choose(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice)
        cast.bob.user.time_zone = "America/New_York"
        cast.bob.user.save()
        clock.move_to(MONDAY_MORNING)  # 2 o'clock there
        send_catch_ups()
        assert smtp.recipients == []
        clock.move_to("2026-11-23 12:00:00+00:00")
        send_catch_ups()
    assert len(smtp.mails) == 1


def test_while_the_mail_server_is_away_the_catch_up_waits(cast: Cast, smtp: SmtpServer, settings: object) -> None:
    with time_machine.travel(SUNDAY_NOON) as clock:
        choose(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice)
        clock.move_to(MONDAY_MORNING)
        with mail_server_away(settings):
            send_catch_ups()
        assert not CatchUp.objects.exists()
        clock.shift(timedelta(hours=3))
        send_catch_ups()
    assert len(smtp.mails) == 1


def test_an_address_that_is_refused_is_tried_until_noon_or_not_at_all(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(SUNDAY_NOON) as clock:
        choose(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice)
        clock.move_to(MONDAY_MORNING)
        smtp.refusals[cast.bob.user.email] = "450 Later"
        send_catch_ups()
        assert not CatchUp.objects.exists()
        smtp.refusals.clear()
        clock.shift(digest.RETRY_AFTER)
        send_catch_ups()
        assert CatchUp.objects.get().state == "sent"
        smtp.refusals[cast.bob.user.email] = "550 No such user"
        post_silently(cast.payments, cast.alice)
        clock.move_to(TUESDAY_MORNING)
        send_catch_ups()
        assert list(CatchUp.objects.order_by("day").values_list("state", flat=True)) == ["sent", "failed"]
        assert "550" in CatchUp.objects.get(state="failed").last_error
        preferences = sign_in(cast.bob).get("/northwind/messenger/preferences/").content.decode()
        assert "The mail server refused the catch-up e-mail" in preferences, "and Bob finds out"
        assert [one.messages for one in digest.unread_topics_of(cast.bob)] == [1], (
            "told of by no mail, so still to be told"
        )


def test_choosing_it_sets_the_time_and_choosing_never_takes_it(cast: Cast) -> None:
    bob, path = sign_in(cast.bob), "/northwind/messenger/preferences/"
    with time_machine.travel(SUNDAY_NOON, tick=False):
        sign_in(cast.bob)
        assert bob.post(path, {"catch_up": "weekdays"}).status_code == 302
        assert preference_of(cast.bob).next_catch_up_at == datetime.fromisoformat(MONDAY_MORNING)
        assert bob.post(path, {"own_messages": "on"}).status_code == 302
        assert preference_of(cast.bob).catch_up == WEEKDAYS, "not chosen: as it was"
        assert bob.post(path, {"catch_up": "never"}).status_code == 302
    choice = preference_of(cast.bob)
    assert (choice.catch_up, choice.next_catch_up_at) == (NEVER, None)


def test_what_was_missed_is_counted_once(cast: Cast) -> None:
    post_silently(cast.payments, cast.alice)
    with CaptureQueriesContext(connection) as captured:
        assert len(digest.unread_topics_of(cast.bob)) == 1
    assert sum(query["sql"].count("COUNT(") for query in captured.captured_queries) == 1


def test_one_run_sends_some_catch_up_mails_and_leaves_the_workers_to_others_in_between(
    cast: Cast, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "BATCH", 2)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie, cast.mallory])
    with time_machine.travel(SUNDAY_NOON) as clock:
        for member in (cast.bob, cast.charlie, cast.mallory):
            choose(member, catch_up=DAILY)
        post_silently(cast.payments, cast.alice)
        clock.move_to(MONDAY_MORNING)
        send_catch_ups()
        assert len(smtp.recipients) == 2
        send_catch_ups()
    assert sorted(smtp.recipients) == [member.user.email for member in (cast.bob, cast.charlie, cast.mallory)]


def test_other_choices_put_off_no_catch_up_mail_that_is_due(cast: Cast, smtp: SmtpServer, settings: object) -> None:
    bob = sign_in(cast.bob)
    with time_machine.travel(SUNDAY_NOON) as clock:
        choose(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice)
        clock.move_to(MONDAY_MORNING)
        with mail_server_away(settings):
            send_catch_ups()
        bob.force_login(cast.bob.user)
        bob.post("/northwind/messenger/preferences/", {"own_messages": "on", "catch_up": "daily"})
        assert preference_of(cast.bob).own_messages, "or the test proves nothing"
        send_catch_ups()
    assert len(smtp.mails) == 1


@pytest.mark.django_db(transaction=True)
def test_who_changes_choices_while_their_catch_up_mail_goes_out_keeps_nobody_from_posting(
    cast: Cast, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_sending, go_on = Event(), Event()

    def send_slowly(mail: EmailMultiAlternatives, connection: BaseEmailBackend) -> None:
        is_sending.set()
        assert go_on.wait(PATIENCE)
        sending.send(mail, connection)

    choose(cast.bob, catch_up=DAILY)
    post_silently(cast.payments, cast.alice)
    MailPreference.objects.update(next_catch_up_at=timezone.now())
    monkeypatch.setattr(digest, "is_too_early", lambda *_: False)
    monkeypatch.setattr(digest, "send", send_slowly)
    slow = start(send_catch_ups)
    assert is_sending.wait(PATIENCE)
    saving = start(lambda: choose(cast.bob, own_messages=True))
    assert somebody_waits_for_a_lock(), "Bob for his choice, or the test proves nothing"
    posting = start(lambda: post(cast.payments, cast.alice))
    try:
        posting.result(2)
    finally:
        go_on.set()
    slow.result(PATIENCE)
    saving.result(PATIENCE)
    assert smtp.recipients == [cast.bob.user.email]
    assert preference_of(cast.bob).own_messages


# -- What counts as read -------------------------------------------------------------------------------


def read_up_to(topic: Topic, member: Member) -> int:
    return ReadPosition.objects.filter(topic=topic, member=member).values_list("sequence", flat=True).first() or 0


def test_reading_moves_forward_only(cast: Cast) -> None:
    for sequence, then in [(3, 3), (2, 3), (5, 5), (5, 5), (1, 5)]:
        mark_read(cast.payments, cast.bob, sequence)
        assert read_up_to(cast.payments, cast.bob) == then


def test_ones_own_message_is_read_if_nothing_before_it_was_unread(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    post(cast.payments, cast.alice)
    assert read_up_to(cast.payments, cast.alice) == 2
    post(cast.payments, cast.bob)
    assert read_up_to(cast.payments, cast.bob) == 0, "Alice's two are unread"
    post(cast.payments, cast.alice)
    assert read_up_to(cast.payments, cast.alice) == 2, "Bob's is unread"


def test_who_joins_or_comes_back_starts_with_nothing_unread(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    assert read_up_to(cast.payments, cast.charlie) == 1
    save_group(cast.payroll, [cast.alice, cast.bob])
    post(cast.payments, cast.alice)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    assert read_up_to(cast.payments, cast.charlie) == 2
    assert read_up_to(cast.payments, cast.bob) == 0, "nobody else's is moved"
