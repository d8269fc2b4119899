"""The report on e-mail delivery for a staged history, failing addresses, and the test e-mail over real SMTP."""

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from messenger.groups.services import save_group
from messenger.models import Delivery, Message
from messenger.notifications.delivery import outbox
from messenger.notifications.monitoring import report, smtp_check
from messenger.notifications.monitoring import views as health_views
from messenger.notifications.monitoring.report import Day, Health, health_of
from messenger.tasks import sweep
from tenancy.models import Tenancy
from tests.support.cast import Cast, make_member, make_topic, post, sign_in
from tests.support.faults import LimitedServer, mail_server_away, mailing_to
from tests.support.smtp import SmtpServer
from tests.support.stage import Response

pytestmark = pytest.mark.django_db

PAGE = "/northwind/administration/system/e-mails/"
TEST = PAGE + "test/"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def delivered(message: Message, member: Any, state: str, settled_at: datetime | None = None, **columns: Any) -> None:
    """Create a delivery that was due, in a state in which the outbox leaves it."""
    Delivery.objects.create(
        tenancy_id=message.tenancy_id,
        message=message,
        member=member,
        state=state,
        settled_at=settled_at,
        **{"next_attempt_at": message.posted_at, **columns},
    )


def days_of(found: Health) -> dict[int, tuple[int, int, int, int, int]]:
    """By days ago, for days that are not empty: sent, waiting, cancelled, failed, not e-mailed."""
    numbers = {
        (TODAY - day.day).days: (day.sent, day.waiting, day.cancelled, day.failed, day.not_emailed)
        for day in found.days
    }
    assert list(numbers) == list(range(13, -1, -1)), "14 days, the last one today"
    return {ago: counts for ago, counts in numbers.items() if any(counts)}


def fanned_out(message: Message) -> Message:
    Message.objects.filter(pk=message.pk).update(fanned_out_at=message.posted_at)
    return message


# -- Numbers -------------------------------------------------------------------------------------------


def test_each_email_is_counted_on_its_day_and_by_its_state(cast: Cast, clock: Any) -> None:
    day = timedelta(days=1)
    clock.move_to(NOW - 15 * day)
    old = fanned_out(post(cast.payments, cast.alice))
    delivered(old, cast.alice, "sent", NOW - 15 * day)  # before the window
    delivered(old, cast.bob, "sent", NOW - 13 * day)
    delivered(old, cast.charlie, "not_sent", NOW - 13 * day, reason="left")
    delivered(old, cast.mallory, "not_sent", NOW - 13 * day, reason="author", next_attempt_at=None)  # never due
    delivered(old, cast.dana, "failed", NOW - 2 * day, reason="gave_up")
    clock.move_to(NOW - 5 * day)
    recent = fanned_out(post(cast.payments, cast.alice))
    assert post(cast.payments, cast.bob).reason == "interval", "or the test proves nothing"
    delivered(recent, cast.alice, "waiting")
    delivered(recent, cast.bob, "failed", NOW - timedelta(hours=3), reason="refused")
    delivered(recent, cast.charlie, "sent", NOW - timedelta(hours=30))
    delivered(recent, cast.dana, "sent", NOW - timedelta(hours=1))
    clock.move_to(NOW)
    quiet = make_topic(cast.payroll, "Quiet", notifications_enabled=False)
    assert post(quiet, cast.bob).reason == "notifications_off", "or the test proves nothing"

    found = health_of(cast.northwind, NOW)
    assert days_of(found) == {
        13: (1, 0, 1, 0, 0),
        5: (0, 1, 0, 0, 1),
        2: (0, 0, 0, 1, 0),
        1: (1, 0, 0, 0, 0),
        0: (1, 0, 0, 1, 1),
    }
    assert (found.sent_lately, found.failed_lately) == (1, 1)
    assert (found.waiting.emails, found.waiting.messages, found.waiting.oldest) == (1, 0, 5 * day)


def test_a_day_begins_at_the_administrators_midnight(cast: Cast, clock: Any) -> None:
    message = fanned_out(post(cast.payments, cast.alice))
    delivered(message, cast.bob, "sent", NOW.replace(hour=1))
    days = {}
    for zone in ("UTC", "America/New_York", "Asia/Tokyo"):
        User.objects.filter(pk=cast.dana.user_id).update(time_zone=zone)
        found: list[Day] = sign_in(cast.dana).get(PAGE).context["health"].days
        assert found[-1].day == NOW.astimezone(ZoneInfo(zone)).date()
        days[zone] = [day.day.day for day in found if day.sent]
    assert days == {"UTC": [20], "America/New_York": [19], "Asia/Tokyo": [20]}


def test_another_tenancys_emails_do_not_count(cast: Cast, clock: Any) -> None:
    message = post(cast.secrets, cast.erin)
    delivered(message, cast.erin, "failed", NOW, reason="refused", last_error="550 canary")
    delivered(post(cast.secrets, cast.erin), cast.erin, "waiting", attempts=1, last_error="451 canary")
    there = health_of(cast.aurora, NOW)
    assert (there.has_history, there.failing, there.waiting.emails, there.waiting.messages) == (True, 1, 1, 1)
    found = health_of(cast.northwind, NOW)
    assert not found.has_history
    assert found.addresses == []
    assert (found.waiting.emails, found.waiting.messages) == (0, 0)


# -- The summary -------------------------------------------------------------------------------------------


def test_without_any_history_no_problem_is_reported(cast: Cast) -> None:
    assert health_of(cast.northwind, timezone.now()).sentences == ["No e-mails were due in the last 14 days."]
    text = page(cast)
    assert "No messages were posted, so there was nothing to e-mail." in text
    assert "No addresses failed in the last 14 days." in text
    assert "chart.umd" not in text, "only pages with a chart load the chart library"


def test_no_problem_is_reported_when_all_mails_are_sent(cast: Cast, smtp: SmtpServer) -> None:
    post(cast.payments, cast.alice)
    assert health_of(cast.northwind, timezone.now()).sentences == ["E-mails are on their way."]
    sweep()
    assert len(smtp.envelopes) == 1, "or the test proves nothing"
    found = health_of(cast.northwind, timezone.now())
    assert found.sentences == ["No problems with e-mail delivery."]
    assert found.is_well


def test_the_report_shows_how_long_mails_wait_for_an_unreachable_mail_server(
    cast: Cast, smtp: SmtpServer, settings: Any, clock: Any
) -> None:
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    post(cast.payments, cast.alice)
    with mail_server_away(settings):
        sweep()
    assert health_of(cast.northwind, NOW + timedelta(minutes=1)).sentences == ["E-mails are on their way."]
    late = health_of(cast.northwind, NOW + timedelta(minutes=25))
    assert late.sentences == ["2 e-mails are waiting, the oldest for 25 minutes. The mail server may be unreachable."]
    assert not late.is_well
    assert late.oldest == "25 minutes"


def test_messages_that_are_not_fanned_out_are_reported_as_waiting(cast: Cast, clock: Any) -> None:
    """If no worker runs, there are not even deliveries that could wait."""
    post(cast.payments, cast.alice)
    assert not Delivery.objects.exists(), "or the test proves nothing"
    late = health_of(cast.northwind, NOW + timedelta(hours=2))
    assert late.sentences == [
        "1 message has been waiting to be e-mailed for 2 hours. The service that sends e-mails may "
        "have stopped. Tell the operator of IPPEX Cloud Messenger."
    ]
    assert late.oldest == "2 hours"
    clock.move_to(NOW + timedelta(hours=2))
    assert "plus those for 1 message" in page(cast)


def test_a_refused_address_does_not_count_as_an_unreachable_mail_server(
    cast: Cast, smtp: SmtpServer, clock: Any
) -> None:
    smtp.refusals[cast.bob.user.email] = "451 Greylisted"
    post(cast.payments, cast.alice)
    sweep()
    found = health_of(cast.northwind, NOW + timedelta(hours=1))
    assert found.waiting.emails == 1
    assert found.sentences == ["1 address is failing."]
    assert [(address.answer, address.failed, address.put_off) for address in found.addresses] == [
        ("451 Greylisted", 0, 1)
    ]


# -- Addresses that fail -----------------------------------------------------------------------------------


def test_a_failing_address_is_listed_with_its_last_answer_and_its_first_failure(
    cast: Cast, smtp: SmtpServer, clock: Any
) -> None:
    for days_ago, answer in ((4, "250 OK"), (3, "550 No such user"), (1, "550 Still no such user")):
        clock.move_to(NOW - timedelta(days=days_ago))
        smtp.refusals = {} if answer == "250 OK" else {cast.bob.user.email: answer}
        post(cast.payments, cast.alice, "canary-of-a-message")
        sweep()
    assert len(smtp.envelopes) == 1, "the address accepted a mail before it failed"
    clock.move_to(NOW)
    found = health_of(cast.northwind, NOW)
    (address,) = found.addresses
    assert (address.member, address.failed, address.put_off) == (cast.bob, 2, 0)
    assert address.answer == "550 Still no such user"
    assert address.since == NOW - timedelta(days=3)
    assert found.sentences == ["1 address is failing."]
    text = page(cast)
    assert cast.bob.name in text
    assert cast.bob.user.email in text
    assert "550 Still no such user" in text
    assert f'href="/northwind/administration/users/{cast.bob.pk}/"' in text
    for secret in (cast.payments.name, "canary-of-a-message", cast.payroll.name, f"topics/{cast.payments.pk}"):
        assert secret not in text, "the administrator is in no group"


def test_an_address_that_accepted_a_mail_since_works_again(cast: Cast, smtp: SmtpServer, clock: Any) -> None:
    clock.move_to(NOW - timedelta(days=2))
    smtp.refusals[cast.bob.user.email] = "550 Mailbox full"
    post(cast.payments, cast.alice)
    sweep()
    assert health_of(cast.northwind, timezone.now()).failing == 1, "or the test proves nothing"
    clock.move_to(NOW)
    smtp.refusals.clear()
    post(cast.payments, cast.alice)
    sweep()
    found = health_of(cast.northwind, NOW)
    assert found.sentences == ["No problems with e-mail delivery."]
    assert [address.works_again for address in found.addresses] == [True]
    assert "Works again" in page(cast)


def test_failures_before_the_last_14_days_are_not_listed(cast: Cast, clock: Any) -> None:
    message = fanned_out(post(cast.payments, cast.alice))
    delivered(message, cast.bob, "failed", NOW - timedelta(days=15), reason="refused", last_error="550 No")
    assert health_of(cast.northwind, NOW).addresses == []


def test_addresses_beyond_the_limit_are_only_counted(cast: Cast, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_ADDRESSES", 2)
    message = fanned_out(post(cast.payments, cast.alice))
    for hours_ago, member in enumerate([cast.bob, cast.charlie, cast.mallory]):
        delivered(message, member, "failed", NOW - timedelta(hours=hours_ago), reason="refused", last_error="550 No")
    found = health_of(cast.northwind, NOW)
    assert [address.member for address in found.addresses] == [cast.bob, cast.charlie]
    assert (found.more_addresses, found.failing) == (1, 3)
    assert "1 more address failed earlier." in page(cast)


# -- The page ----------------------------------------------------------------------------------------------


def page(cast: Cast) -> str:
    response = sign_in(cast.dana).get(PAGE)
    assert response.status_code == 200
    return str(response.content.decode())


def test_the_page_is_in_the_menu_and_opens_while_messenger_is_off(cast: Cast) -> None:
    Tenancy.objects.filter(pk=cast.northwind.pk).update(messenger_enabled=False)
    assert "E-mail delivery" in page(cast)
    for place in ("/northwind/", "/northwind/administration/"):
        assert PAGE in sign_in(cast.dana).get(place).content.decode()
        assert PAGE not in sign_in(cast.alice).get(place).content.decode()


def test_the_table_contains_the_numbers_of_the_chart(cast: Cast, clock: Any) -> None:
    message = fanned_out(post(cast.payments, cast.alice))
    delivered(message, cast.bob, "sent", NOW)
    delivered(message, cast.charlie, "failed", NOW, reason="refused")
    text = page(cast)
    today = text[text.index("20 Nov") : text.index("</tbody>")]
    assert re.findall(r'data-value="(\d+)"', today) == ["1", "0", "0", "1", "0"]
    assert "today" in today
    assert 'data-chart="days-table"' in text
    assert 'role="img" aria-label="Bar chart' in text


def test_the_page_groups_the_digits_of_large_numbers_but_not_those_of_the_chart(
    cast: Cast, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [Day(TODAY, sent=12_345, waiting=0, cancelled=0, failed=0, not_emailed=6_789)]
    found = replace(health_of(cast.northwind, NOW), days=days, sent_lately=54_321)
    monkeypatch.setattr(health_views, "health_of", lambda *_: found)
    text = page(cast)
    assert "<dd>54,321</dd>" in text
    assert 'data-value="12345">12,345</td>' in text
    assert 'data-value="6789">6,789</td>' in text


def test_the_number_of_queries_does_not_grow_with_failures(cast: Cast, clock: Any) -> None:
    def count_queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            health_of(cast.northwind, NOW)
        return len(captured)

    message = fanned_out(post(cast.payments, cast.alice))
    delivered(message, cast.bob, "failed", NOW, reason="refused")
    before = count_queries()
    for number in range(20):
        member = make_member(cast.northwind, f"crowd{number} Person")
        delivered(message, member, "failed", NOW - timedelta(hours=number), reason="refused")
    assert len(health_of(cast.northwind, NOW).addresses) == 21, "or the test proves nothing"
    assert count_queries() == before <= 14


# -- The test e-mail -----------------------------------------------------------------------------------------


def send_test_email(cast: Cast) -> tuple[str, str]:
    """Send it as Dana; returns the level and the text of the banner."""
    dana = sign_in(cast.dana)
    response: Response = dana.post(TEST, follow=True)
    assert response.redirect_chain == [(PAGE, 302)]
    ((level, text),) = [(message.level_tag, str(message)) for message in response.context["messages"]]
    return level, text


def test_the_test_email_is_sent_at_once_and_to_the_administrator_only(cast: Cast, smtp: SmtpServer) -> None:
    level, text = send_test_email(cast)
    assert smtp.recipients == [cast.dana.user.email]
    (mail,) = smtp.mails
    assert mail["Subject"] == "Test e-mail from IPPEX Cloud Messenger"
    assert mail["Auto-Submitted"] == "auto-generated"
    body = mail.get_body(("plain",))
    assert body is not None
    assert PAGE in body.get_content()
    assert (level, text) == (
        "success",
        f"The mail server accepted the test e-mail to {cast.dana.user.email}. Check your inbox and your spam folder.",
    )
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("answer", ["550 No such user", "451 Greylisted", "421 Go away"])
def test_a_refusal_is_shown_in_the_mail_servers_words(cast: Cast, smtp: SmtpServer, answer: str) -> None:
    smtp.refusals[cast.dana.user.email] = answer
    assert send_test_email(cast) == ("error", f"The mail server refused the test e-mail: {answer}")
    assert smtp.envelopes == []


def test_an_unreachable_mail_server_is_reported_as_such(cast: Cast, smtp: SmtpServer, settings: Any) -> None:
    with mail_server_away(settings):
        level, text = send_test_email(cast)
    assert level == "error"
    assert text == "The mail server can't be reached: Connection refused."


class StrictServer(SmtpServer):
    """Refuses the sender."""

    async def handle_MAIL(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        return "553 Sender not allowed"


def test_a_refused_sender_is_shown_as_a_refusal(cast: Cast, settings: Any) -> None:
    with mailing_to(StrictServer(), settings):
        assert send_test_email(cast) == ("error", "The mail server refused the test e-mail: 553 Sender not allowed")


def test_a_mail_server_that_closes_the_connection_is_shown_as_a_refusal(cast: Cast, settings: Any) -> None:
    with mailing_to(LimitedServer(limit=0), settings):
        assert send_test_email(cast) == ("error", "The mail server refused the test e-mail: 421 Too many mails")


class SlowServer(SmtpServer):
    """Answers each command within the timeout, but takes longer than that for a whole mail."""

    async def handle_MAIL(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        await asyncio.sleep(0.4)
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        await asyncio.sleep(0.4)
        return await super().handle_RCPT(server, session, envelope, address, options)


def test_a_slow_mail_server_is_not_awaited_beyond_the_limit(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_check, "TIMEOUT_SECONDS", 0.6)
    with mailing_to(SlowServer(), settings) as server:
        begun = time.monotonic()
        level, text = send_test_email(cast)
        assert time.monotonic() - begun < 3
        assert level == "error"
        assert text.endswith("The e-mail may still arrive.")
        deadline = time.monotonic() + 10
        while not server.envelopes and time.monotonic() < deadline:
            time.sleep(0.05)
    assert server.recipients == [cast.dana.user.email], "it does arrive, because each answer came in time"


def test_the_test_email_is_in_the_administrators_language(cast: Cast, smtp: SmtpServer) -> None:
    User.objects.filter(pk=cast.dana.user_id).update(language="en", time_zone="Asia/Tokyo")
    send_test_email(cast)
    (mail,) = smtp.mails
    html = mail.get_body(("html",))
    assert html is not None
    assert '<html lang="en">' in html.get_content()


def test_a_test_email_creates_no_delivery_and_sends_no_pending_one(cast: Cast, smtp: SmtpServer) -> None:
    message = post(cast.payments, cast.alice)
    outbox.fan_out(message.pk)
    send_test_email(cast)
    assert smtp.recipients == [cast.dana.user.email]
    assert Delivery.objects.get(member=cast.bob).state == "waiting"
