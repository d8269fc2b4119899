"""Members' preferences about their own mails: muted topics, own messages, catch-up mails."""

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
from tests.support.concurrency import PATIENCE, another_connection_waits_for_a_lock, start
from tests.support.faults import mail_server_away
from tests.support.smtp import SmtpServer

pytestmark = pytest.mark.django_db

DAILY, WEEKDAYS, NEVER = MailPreference.CatchUp.DAILY, MailPreference.CatchUp.WEEKDAYS, MailPreference.CatchUp.NEVER


def record(message: Message, member: Member) -> tuple[str, str]:
    return Delivery.objects.values_list("state", "reason").get(message=message, member=member)


# -- Muting --------------------------------------------------------------------------------------------


def test_muting_a_topic_stops_the_mails_to_that_member_only(cast: Cast, smtp: SmtpServer) -> None:
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    set_muted(cast.payments, cast.bob, True)
    message = post(cast.payments, cast.alice)
    notify_members(message.pk)
    assert smtp.recipients == [cast.charlie.user.email]
    assert record(message, cast.bob) == ("not_sent", "muted")
    message.refresh_from_db()
    assert message.addressees == 1


@pytest.mark.parametrize("fanned_out", [True, False])
def test_muting_cancels_pending_mails_and_unmuting_sends_none_late(
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


def test_messages_posted_while_a_topic_was_muted_are_not_mailed_later(cast: Cast, smtp: SmtpServer) -> None:
    set_muted(cast.payments, cast.bob, True)
    message = post(cast.payments, cast.alice)
    assert not Delivery.objects.exists(), "or the test proves nothing"
    set_muted(cast.payments, cast.bob, False)
    sweep()
    assert smtp.recipients == []
    assert record(message, cast.bob) == ("not_sent", "muted")


def test_mutes_are_checked_again_before_a_mail_is_sent(cast: Cast, smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    outbox.fan_out(message.pk)
    TopicMute.objects.create(tenancy=cast.northwind, topic=cast.payments, member=cast.bob)  # bypassing set_muted
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
    assert "Unmute <span" not in sign_in(cast.alice).get(path).content.decode(), "only Bob has muted the topic"
    assert bob.post(f"{path}mute/", {"from": "preferences"})["Location"] == preferences
    muted_topics = bob.get(preferences).content.decode().partition('id="muted-topics"')[2]
    assert muted_topics, "or the test proves nothing"
    assert "Payments processing" not in muted_topics
    assert not TopicMute.objects.exists()


# -- Own messages --------------------------------------------------------------------------------------


def set_preference(member: Member, **columns: object) -> MailPreference:
    preference = preference_of(member)
    for name, value in columns.items():
        setattr(preference, name, value)
    save_preference(preference)
    return preference


@pytest.mark.parametrize("fanned_out", [True, False])
def test_wanting_own_messages_takes_effect_with_the_next_message(
    cast: Cast, smtp: SmtpServer, fanned_out: bool
) -> None:
    message = post(cast.payments, cast.alice)
    if fanned_out:
        outbox.fan_out(message.pk)
    set_preference(cast.alice, own_messages=True)
    sweep()
    assert smtp.recipients == [cast.bob.user.email]
    assert record(message, cast.alice) == ("not_sent", "author")


def test_no_longer_wanting_own_messages_cancels_pending_mails(cast: Cast, smtp: SmtpServer) -> None:
    set_preference(cast.alice, own_messages=True)
    message = post(cast.payments, cast.alice)
    set_preference(cast.alice, own_messages=False)
    sweep()
    assert smtp.recipients == [cast.bob.user.email]
    assert record(message, cast.alice) == ("not_sent", "author")


def test_wanting_own_messages_is_checked_again_before_a_mail_is_sent(cast: Cast, smtp: SmtpServer) -> None:
    set_preference(cast.alice, own_messages=True)
    message = post(cast.payments, cast.alice)
    outbox.fan_out(message.pk)
    assert record(message, cast.alice) == ("waiting", ""), "or the test proves nothing"
    # `cancel` skips a mail that is just being sent. This is the state if that attempt then fails.
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
MONDAY_MORNING = "2026-11-23 07:00:00+00:00"  # all members here are in UTC
TUESDAY_MORNING = "2026-11-24 07:00:00+00:00"


def post_silently(topic: Topic, author: Member, count: int = 1) -> None:
    """Post messages that are not e-mailed."""
    Topic.objects.filter(pk=topic.pk).update(notifications_enabled=False)
    for _ in range(count):
        assert post(topic, author).outcome == "no_email"


def test_unread_messages_without_a_mail_are_counted_in_the_morning(cast: Cast, smtp: SmtpServer) -> None:
    cut_off = make_topic(cast.payroll, "Cut-off")
    with time_machine.travel(SUNDAY_NOON):
        set_preference(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice, 3)
        post_silently(cut_off, cast.alice, 1)
        send_catch_ups()
        assert smtp.recipients == [], "not before the morning"
    with time_machine.travel(MONDAY_MORNING):
        send_catch_ups()
        send_catch_ups()
    assert smtp.recipients == [cast.bob.user.email], "once, and only to the member who wants it"
    text = smtp.mails[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "4 unread messages" in text
    assert "3 messages" in text
    assert f"/northwind/messenger/topics/{cut_off.pk}/" in text
    assert "Cut-off" not in text, "the level of detail is minimal"
    assert "Hello" not in text, "counts and links only"


def test_mailed_messages_are_not_counted_but_failed_ones_are(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(SUNDAY_NOON):
        set_preference(cast.bob, catch_up=DAILY)
        notify_members(post(cast.payments, cast.alice).pk)
        assert smtp.recipients == [cast.bob.user.email]
        assert digest.unread_topics_of(cast.bob) == []
        smtp.refusals[cast.bob.user.email] = "550 No"
        notify_members(post(make_topic(cast.payroll, "Failing"), cast.alice).pk)
        assert [topic.messages for topic in digest.unread_topics_of(cast.bob)] == [1]


@pytest.mark.parametrize("fanned_out", [True, False])
def test_a_message_with_a_pending_mail_is_counted_only_once_the_mail_fails(
    cast: Cast, smtp: SmtpServer, fanned_out: bool
) -> None:
    with time_machine.travel(SUNDAY_NOON) as clock:
        set_preference(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice)
        clock.move_to("2026-11-23 06:59:30+00:00")
        Topic.objects.filter(pk=cast.payments.pk).update(notifications_enabled=True)
        message = post(cast.payments, cast.alice)
        smtp.refusals[cast.bob.user.email] = "450 Later"
        if fanned_out:
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


def test_no_catch_up_mail_is_sent_if_everything_is_read(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(SUNDAY_NOON):
        set_preference(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice, 3)
        sign_in(cast.bob).post(f"/northwind/messenger/topics/{cast.payments.pk}/read/", {"up_to": "3"})
    with time_machine.travel(MONDAY_MORNING):
        send_catch_ups()
        assert preference_of(cast.bob).next_catch_up_at == datetime.fromisoformat(TUESDAY_MORNING)
    assert smtp.recipients == []
    assert not CatchUp.objects.exists()


def test_each_message_is_counted_in_only_one_catch_up_mail(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(SUNDAY_NOON):
        set_preference(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice, 3)
    with time_machine.travel(MONDAY_MORNING):
        send_catch_ups()
        assert len(smtp.mails) == 1
    with time_machine.travel(TUESDAY_MORNING) as clock:
        send_catch_ups()
        assert len(smtp.mails) == 1, "no reminder without new messages"
        post_silently(cast.payments, cast.alice)
        clock.shift(timedelta(days=1))
        send_catch_ups()
    assert len(smtp.mails) == 2
    assert list(CatchUpTopic.objects.order_by("pk").values_list("after_sequence", "up_to_sequence", "messages")) == [
        (0, 3, 3),
        (3, 4, 1),
    ]


@pytest.mark.parametrize("why", ["muted", "own", "left", "inactive", "messenger off", "joined later"])
def test_unreadable_and_unwanted_messages_are_not_counted(cast: Cast, smtp: SmtpServer, why: str) -> None:
    reader = cast.charlie if why == "joined later" else cast.bob
    with time_machine.travel(SUNDAY_NOON):
        set_preference(reader, catch_up=DAILY)
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


def test_with_weekdays_only_the_weekends_messages_are_counted_on_monday(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel("2026-11-20 12:00:00+00:00") as clock:  # a Friday
        set_preference(cast.bob, catch_up=WEEKDAYS)
        post_silently(cast.payments, cast.alice)
        for day in ("2026-11-21", "2026-11-22"):
            clock.move_to(f"{day} 09:00:00+00:00")
            send_catch_ups()
            assert smtp.recipients == []
        clock.move_to(MONDAY_MORNING)
        send_catch_ups()
    assert len(smtp.mails) == 1


def test_a_member_who_changed_time_zone_gets_the_mail_in_the_new_morning(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(SUNDAY_NOON) as clock:
        set_preference(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice)
        cast.bob.user.time_zone = "America/New_York"
        cast.bob.user.save()
        clock.move_to(MONDAY_MORNING)  # 2 o'clock there
        send_catch_ups()
        assert smtp.recipients == []
        clock.move_to("2026-11-23 12:00:00+00:00")
        send_catch_ups()
    assert len(smtp.mails) == 1


def test_the_catch_up_mail_waits_for_an_unreachable_mail_server(cast: Cast, smtp: SmtpServer, settings: object) -> None:
    with time_machine.travel(SUNDAY_NOON) as clock:
        set_preference(cast.bob, catch_up=DAILY)
        post_silently(cast.payments, cast.alice)
        clock.move_to(MONDAY_MORNING)
        with mail_server_away(settings):
            send_catch_ups()
        assert not CatchUp.objects.exists()
        clock.shift(timedelta(hours=3))
        send_catch_ups()
    assert len(smtp.mails) == 1


def test_only_a_temporarily_refused_catch_up_mail_is_tried_again(cast: Cast, smtp: SmtpServer) -> None:
    with time_machine.travel(SUNDAY_NOON) as clock:
        set_preference(cast.bob, catch_up=DAILY)
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
        assert "The mail server refused the catch-up e-mail" in preferences, "the page shows it to Bob"
        assert [topic.messages for topic in digest.unread_topics_of(cast.bob)] == [1], "the next mail counts it again"


def test_the_chosen_days_set_the_next_time_and_never_clears_it(cast: Cast) -> None:
    bob, path = sign_in(cast.bob), "/northwind/messenger/preferences/"
    with time_machine.travel(SUNDAY_NOON, tick=False):
        sign_in(cast.bob)
        assert bob.post(path, {"catch_up": "weekdays"}).status_code == 302
        assert preference_of(cast.bob).next_catch_up_at == datetime.fromisoformat(MONDAY_MORNING)
        assert bob.post(path, {"own_messages": "on"}).status_code == 302
        assert preference_of(cast.bob).catch_up == WEEKDAYS, "left out of the form, it is unchanged"
        assert bob.post(path, {"catch_up": "never"}).status_code == 302
    preference = preference_of(cast.bob)
    assert (preference.catch_up, preference.next_catch_up_at) == (NEVER, None)


def test_the_query_for_unread_topics_counts_once(cast: Cast) -> None:
    post_silently(cast.payments, cast.alice)
    with CaptureQueriesContext(connection) as captured:
        assert len(digest.unread_topics_of(cast.bob)) == 1
    assert sum(query["sql"].count("COUNT(") for query in captured.captured_queries) == 1


def test_one_run_sends_a_limited_number_of_catch_up_mails(
    cast: Cast, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "BATCH", 2)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie, cast.mallory])
    with time_machine.travel(SUNDAY_NOON) as clock:
        for member in (cast.bob, cast.charlie, cast.mallory):
            set_preference(member, catch_up=DAILY)
        post_silently(cast.payments, cast.alice)
        clock.move_to(MONDAY_MORNING)
        send_catch_ups()
        assert len(smtp.recipients) == 2
        send_catch_ups()
    assert sorted(smtp.recipients) == [member.user.email for member in (cast.bob, cast.charlie, cast.mallory)]


def test_changing_another_preference_does_not_postpone_a_due_catch_up_mail(
    cast: Cast, smtp: SmtpServer, settings: object
) -> None:
    bob = sign_in(cast.bob)
    with time_machine.travel(SUNDAY_NOON) as clock:
        set_preference(cast.bob, catch_up=DAILY)
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
def test_saving_preferences_while_a_catch_up_mail_is_sent_blocks_no_posts(
    cast: Cast, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_sending, go_on = Event(), Event()

    def send_slowly(mail: EmailMultiAlternatives, connection: BaseEmailBackend) -> None:
        is_sending.set()
        assert go_on.wait(PATIENCE)
        sending.send(mail, connection)

    set_preference(cast.bob, catch_up=DAILY)
    post_silently(cast.payments, cast.alice)
    MailPreference.objects.update(next_catch_up_at=timezone.now())
    monkeypatch.setattr(digest, "is_too_early", lambda *_: False)
    monkeypatch.setattr(digest, "send", send_slowly)
    slow = start(send_catch_ups)
    assert is_sending.wait(PATIENCE)
    saving = start(lambda: set_preference(cast.bob, own_messages=True))
    assert another_connection_waits_for_a_lock(), "saving waits for Bob's preference, or the test proves nothing"
    posting = start(lambda: post(cast.payments, cast.alice))
    try:
        posting.result(2)
    finally:
        go_on.set()
    slow.result(PATIENCE)
    saving.result(PATIENCE)
    assert smtp.recipients == [cast.bob.user.email]
    assert preference_of(cast.bob).own_messages


# -- Read positions ------------------------------------------------------------------------------------


def read_up_to(topic: Topic, member: Member) -> int:
    return ReadPosition.objects.filter(topic=topic, member=member).values_list("sequence", flat=True).first() or 0


def test_a_read_position_only_moves_forward(cast: Cast) -> None:
    for sequence, expected in [(3, 3), (2, 3), (5, 5), (5, 5), (1, 5)]:
        mark_read(cast.payments, cast.bob, sequence)
        assert read_up_to(cast.payments, cast.bob) == expected


def test_own_messages_are_read_unless_an_earlier_one_is_unread(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    post(cast.payments, cast.alice)
    assert read_up_to(cast.payments, cast.alice) == 2
    post(cast.payments, cast.bob)
    assert read_up_to(cast.payments, cast.bob) == 0, "Alice's two are unread"
    post(cast.payments, cast.alice)
    assert read_up_to(cast.payments, cast.alice) == 2, "Bob's is unread"


def test_new_and_returning_members_start_with_nothing_unread(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    assert read_up_to(cast.payments, cast.charlie) == 1
    save_group(cast.payroll, [cast.alice, cast.bob])
    post(cast.payments, cast.alice)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    assert read_up_to(cast.payments, cast.charlie) == 2
    assert read_up_to(cast.payments, cast.bob) == 0, "other members' positions stay"
