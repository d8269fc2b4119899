"""Mail merge: every recipient gets their own values, and no one else's."""

import re
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from common.mail import sending
from messenger.groups.services import save_group
from messenger.models import Delivery, Message, Topic
from messenger.notifications.delivery import outbox
from messenger.notifications.delivery.claims import claim
from messenger.notifications.delivery.mails import _mail_merge, clear_mail_cache, message_mail
from messenger.notifications.delivery.unsubscribe_links import find_subscription
from messenger.tasks import notify_members
from tenancy.models import MailDetail, Member, Tenancy
from tests.support.cast import Cast, make_member, post
from tests.support.concurrency import PATIENCE, start
from tests.support.smtp import SmtpServer

in_one_transaction = pytest.mark.django_db
on_the_real_database = pytest.mark.django_db(transaction=True)

TEXTS = {
    "plain": "Net & gross, “quoted”\n.\nFrom here on",
    "a mention": "Have a look, @Bob Brandt.",
    "long lines": "payroll " * 400,
}


def set_detail(cast: Cast, detail: MailDetail) -> None:
    Tenancy.objects.filter(pk=cast.northwind.pk).update(mail_detail=detail)
    cast.northwind.refresh_from_db()
    for member in (cast.alice, cast.bob):
        member.refresh_from_db()


def content_of(mail: EmailMessage) -> tuple[list[tuple[str, str]], list[str]]:
    # Folding puts a long word on a line of its own, which leaves a space before it.
    headers = [(name, str(value).strip()) for name, value in mail.items() if name != "Content-Type"]
    return headers, [part.get_content() for part in mail.walk() if not part.is_multipart()]


@in_one_transaction
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("detail", MailDetail)
def test_a_merged_mail_has_the_same_content_as_one_encoded_by_django(cast: Cast, detail: MailDetail, text: str) -> None:
    set_detail(cast, detail)
    message = post(cast.payments, cast.alice, text)
    for member in (cast.alice, cast.bob):
        filled = message_mail(message, Member.objects.get(pk=member.pk))
        encoded_by_django: Any = filled.message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]  # Django's own
        is_long = text == TEXTS["long lines"] and detail == MailDetail.FULL_TEXT
        assert bool(filled.encoded) != is_long, "long lines are quoted-printable, including the markers"
        if filled.encoded:
            by_django, merged = (
                content_of(message_from_bytes(raw, policy=policy.default))  # type: ignore[arg-type]
                for raw in (encoded_by_django, filled.encoded)
            )
            assert merged == by_django


@in_one_transaction
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_each_recipient_gets_their_own_link_and_times_in_their_zone(cast: Cast, smtp: SmtpServer, text: str) -> None:
    set_detail(cast, MailDetail.FULL_TEXT)
    crowd = [make_member(cast.northwind, name) for name in ("Fay", "Gus", "Hal")]
    save_group(cast.payroll, [cast.alice, cast.bob, *crowd])
    User.objects.filter(pk=crowd[0].user_id).update(time_zone="Asia/Tokyo")
    notify_members(post(cast.payments, cast.alice, text).pk)
    assert len(smtp.mails) == 4, "or the test proves nothing"
    for mail in smtp.mails:
        [to] = mail["To"].addresses
        raw = "".join(content_of(mail)[1]) + mail["List-Unsubscribe"]
        keys = set(re.findall(r"/unsubscribe/([^/\s]+)/", raw))
        assert len(keys) == 1
        assert find_subscription(keys.pop()).member.user.email == to.addr_spec
        assert ("Asia/Tokyo" in raw) == (to.addr_spec == crowd[0].user.email)
        assert "field-" not in mail.as_string(), "every marker is replaced"
        assert ("mention-own" in raw) == (text == TEXTS["a mention"] and to.addr_spec == cast.bob.user.email)


@in_one_transaction
@pytest.mark.parametrize(
    ("address", "is_plain"),
    [
        ("bob.o'brien+pay@northwind.example", True),
        ("bob@büro.example", False),
        ("bob", False),
        ("bob@", False),
        ("bob@x.example\nBcc: mallory@x.example", False),
        ("bob@x.example, mallory@x.example", False),
        ('"bob smith"@x.example', False),
    ],
)
def test_mails_to_unusual_addresses_are_left_to_django(cast: Cast, address: str, is_plain: bool) -> None:
    cast.bob.user.email = address
    mail = message_mail(post(cast.payments, cast.alice), cast.bob)
    assert bool(mail.encoded) == is_plain
    assert mail.to == [address]


@in_one_transaction
def test_a_mail_is_rendered_once_for_each_language_and_time_zone(cast: Cast, smtp: SmtpServer) -> None:
    crowd = [make_member(cast.northwind, name) for name in ("Fay", "Gus", "Hal")]
    save_group(cast.payroll, [cast.alice, cast.bob, *crowd])
    User.objects.filter(pk=crowd[0].user_id).update(time_zone="Asia/Tokyo")
    clear_mail_cache()
    notify_members(post(cast.payments, cast.alice).pk)
    assert len(smtp.mails) == 4
    assert _mail_merge.cache_info().misses == 2


CHANGES: dict[str, Callable[[Cast], object]] = {
    "the topic's name": lambda cast: Topic.objects.filter(pk=cast.payments.pk).update(name="Afterwards"),
    "the author's name": lambda cast: Member.objects.filter(pk=cast.alice.pk).update(name="Afterwards"),
    "the text": lambda cast: Message.objects.update(body="Afterwards", body_html="<p>Afterwards</p>"),
    "the tenancy's slug": lambda cast: Tenancy.objects.filter(pk=cast.northwind.pk).update(slug="afterwards"),
}


@in_one_transaction
@pytest.mark.parametrize("change", [*CHANGES, "the level of detail"])
def test_a_change_between_two_mails_of_a_message_takes_effect_in_the_second(
    cast: Cast, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    set_detail(cast, MailDetail.FULL_TEXT)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    message = post(cast.payments, cast.alice, "Canarytext")

    def send_and_change(mail: Any, to: Any) -> None:
        sending.send(mail, to)
        if change == "the level of detail":
            set_detail(cast, MailDetail.MINIMAL)
        else:
            CHANGES[change](cast)

    monkeypatch.setattr(outbox, "send", send_and_change)
    notify_members(message.pk)
    first, second = ("".join(content_of(mail)[1]) for mail in smtp.mails)
    assert "Canarytext" in first
    if change == "the level of detail":
        assert "Canarytext" not in second
        assert "Alice" not in second
    else:
        assert "fterwards" not in first
        assert "fterwards" in second


@in_one_transaction
def test_each_mail_takes_two_statements_regardless_of_their_number(cast: Cast, smtp: SmtpServer) -> None:
    def statements_for(count: int) -> int:
        crowd = [make_member(cast.northwind, f"Fay{count}x{number} Crowd") for number in range(count)]
        save_group(cast.payroll, [cast.alice, *crowd])
        message = post(cast.payments, cast.alice)
        Message.objects.filter(pk=message.pk).update(outcome="email", reason="")
        outbox.fan_out(message.pk)
        with CaptureQueriesContext(connection) as captured:
            outbox.deliver(Delivery.objects.filter(message=message))
        assert Delivery.objects.filter(message=message, state="sent").count() == count, "or the test proves nothing"
        return sum("SAVEPOINT" not in query["sql"] for query in captured.captured_queries)

    assert statements_for(9) - statements_for(2) == 2 * 7


@on_the_real_database
def test_a_claim_locks_its_delivery_and_nothing_else(cast: Cast) -> None:
    """Members can write in the topic and change their settings while the mail server is slow."""
    outbox.fan_out(post(cast.payments, cast.alice).pk)
    delivery = Delivery.objects.get(member=cast.bob)

    def count_unlocked(rows: Any) -> int:
        with transaction.atomic():
            return len(rows.select_for_update(skip_locked=True))

    with transaction.atomic():
        assert claim(delivery.pk)
        for model in (Message, Topic, Member, User, Tenancy):
            all_rows = model._default_manager.all()  # type: ignore[attr-defined]
            assert start(partial(count_unlocked, all_rows)).result(PATIENCE) == len(all_rows), model
        deliveries = Delivery.objects.all()
        assert start(partial(count_unlocked, deliveries)).result(PATIENCE) == len(deliveries) - 1
        assert start(lambda: claim_in_another_transaction(delivery.pk)).result(PATIENCE) is None


def claim_in_another_transaction(pk: int) -> Any:
    with transaction.atomic():
        return claim(pk)
