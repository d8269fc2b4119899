"""Posting: order, decisions, retries, and that all of it holds when many people post at once."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from itertools import pairwise
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messenger.groups.services import save_group
from messenger.messages import posting
from messenger.messages.posting import DifferentTextError, Posted, post_message
from messenger.models import Delivery, GroupMembership, Message, MessengerGroup, Topic
from messenger.notifications import recipients
from messenger.notifications import rule as interval_rule
from messenger.notifications.delivery import outbox
from tenancy.members import save_member, set_messenger_enabled
from tenancy.models import Member
from tests.support.cast import Cast, age, make_member, post, sign_in
from tests.support.concurrency import PATIENCE, another_connection_waits_for_a_lock, start, together

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

in_one_transaction = pytest.mark.django_db
on_the_real_database = pytest.mark.django_db(transaction=True)


def decision(message: Message) -> tuple[str, str, int, timedelta | None]:
    message.refresh_from_db()
    return message.outcome, message.reason, message.interval_minutes, message.elapsed


# -- Order and decision --------------------------------------------------------------------------------


@in_one_transaction
def test_messages_are_numbered_from_one_in_each_topic(cast: Cast) -> None:
    assert [post(cast.payments, author).sequence for author in (cast.alice, cast.bob, cast.alice)] == [
        1,
        2,
        3,
    ]
    assert post(cast.pensions, cast.mallory).sequence == 1
    cast.payments.refresh_from_db()
    assert cast.payments.last_sequence == 3


@in_one_transaction
def test_the_topic_agrees_with_its_last_message(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    last = post(cast.payments, cast.bob)
    cast.payments.refresh_from_db()
    assert cast.payments.last_activity_at == last.posted_at
    assert cast.payments.revision == last.revision == 2
    assert cast.payments.last_sequence == last.sequence


@in_one_transaction
def test_the_first_message_is_emailed_and_has_no_elapsed_time(cast: Cast) -> None:
    assert decision(post(cast.payments, cast.alice)) == ("email", "", 30, None)


@in_one_transaction
@pytest.mark.parametrize(
    ("since_previous", "expected"),
    [
        (14 * MINUTE, ("no_email", "interval")),
        (15 * MINUTE - timedelta(microseconds=1), ("no_email", "interval")),
        (15 * MINUTE, ("email", "")),
        (16 * MINUTE, ("email", "")),
    ],
)
def test_the_decision_records_the_interval_and_the_time_elapsed(
    cast: Cast, since_previous: timedelta, expected: tuple[str, str]
) -> None:
    Topic.objects.filter(pk=cast.payments.pk).update(notification_interval=15)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        post(cast.payments, cast.alice)
        clock.shift(since_previous)
        assert decision(post(cast.payments, cast.bob)) == (*expected, 15, since_previous)


@in_one_transaction
def test_a_message_that_was_not_emailed_counts_as_the_previous_message(cast: Cast) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        outcomes = []
        for _ in range(4):
            outcomes.append(post(cast.payments, cast.alice).outcome)
            clock.shift(20 * MINUTE)
    assert outcomes == ["email", "no_email", "no_email", "no_email"], "a busy topic sends no e-mails"


@in_one_transaction
def test_with_an_interval_of_zero_every_message_is_emailed(cast: Cast) -> None:
    Topic.objects.filter(pk=cast.payments.pk).update(notification_interval=0)
    assert {post(cast.payments, cast.alice).outcome for _ in range(3)} == {"email"}


@in_one_transaction
def test_disabled_notifications_are_the_reason_whatever_the_elapsed_time(cast: Cast) -> None:
    Topic.objects.filter(pk=cast.payments.pk).update(notifications_enabled=False)
    assert decision(post(cast.payments, cast.alice)) == ("no_email", "notifications_off", 30, None)
    age(cast.payments, 2 * HOUR)
    outcome, reason, interval, elapsed = decision(post(cast.payments, cast.alice))
    assert (outcome, reason, interval) == ("no_email", "notifications_off", 30)
    assert elapsed is not None
    assert elapsed >= 2 * HOUR


@in_one_transaction
def test_a_message_posted_while_notifications_were_off_counts_as_the_previous_message(cast: Cast) -> None:
    Topic.objects.filter(pk=cast.payments.pk).update(notifications_enabled=False)
    post(cast.payments, cast.alice)
    Topic.objects.filter(pk=cast.payments.pk).update(notifications_enabled=True)
    assert decision(post(cast.payments, cast.bob))[:2] == ("no_email", "interval")


@in_one_transaction
def test_a_new_interval_applies_from_the_next_message_on(cast: Cast) -> None:
    first = post(cast.payments, cast.alice)
    silent = post(cast.payments, cast.bob)
    before = [decision(message) for message in (first, silent)]
    age(cast.payments, 10 * MINUTE)
    Topic.objects.filter(pk=cast.payments.pk).update(notification_interval=5)
    assert decision(post(cast.payments, cast.alice))[:3] == ("email", "", 5)
    assert [decision(message) for message in (first, silent)] == before


@in_one_transaction
def test_the_intervals_of_topics_are_independent(cast: Cast) -> None:
    other = Topic.objects.create(tenancy=cast.northwind, group=cast.payroll, name="Overtime")
    assert post(cast.payments, cast.alice).outcome == post(other, cast.alice).outcome == "email"


# -- Clocks --------------------------------------------------------------------------------------------


@in_one_transaction
def test_a_clock_set_back_dates_no_message_before_the_previous_one(cast: Cast) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        first = post(cast.payments, cast.alice)
        clock.shift(-HOUR)
        second = post(cast.payments, cast.bob)
        clock.shift(HOUR + 30 * MINUTE)
        third = post(cast.payments, cast.alice)
    assert second.posted_at == first.posted_at
    assert decision(second) == ("no_email", "interval", 30, timedelta(0))
    assert decision(third) == ("email", "", 30, 30 * MINUTE)


@in_one_transaction
def test_a_first_message_by_a_slow_clock_still_reaches_the_group(cast: Cast) -> None:
    """The clock of the host that stored the memberships is ahead of that of the host that stores the message."""
    with time_machine.travel(timezone.now() - HOUR, tick=False):
        message = post(cast.payments, cast.alice)
    assert message.outcome == "email"
    outbox.fan_out(message.pk)
    recipients_of_message = Delivery.objects.filter(message=message, state="waiting").values_list("member", flat=True)
    assert list(recipients_of_message) == [cast.bob.pk]


@in_one_transaction
def test_a_clock_set_back_does_not_prevent_leaving_a_group(cast: Cast) -> None:
    """A member who joined by a fast clock can be removed by a slow one."""
    with time_machine.travel(timezone.now() - HOUR, tick=False):
        save_group(cast.payroll, [cast.alice])
    assert not cast.payments.readers().contains(cast.bob)


@in_one_transaction
def test_a_member_who_joins_after_a_message_gets_no_e_mail_even_if_the_clock_was_set_back(cast: Cast) -> None:
    message = post(cast.payments, cast.alice)
    with time_machine.travel(timezone.now() - MINUTE, tick=False):
        save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    outbox.fan_out(message.pk)
    assert not Delivery.objects.filter(message=message, member=cast.charlie).exists()


# -- Access, and what is stored ------------------------------------------------------------------------


@in_one_transaction
def test_only_readers_post(cast: Cast) -> None:
    for outsider in (cast.charlie, cast.dana, cast.mallory, cast.erin):
        with pytest.raises(Topic.DoesNotExist):
            post(cast.payments, outsider)
    assert not Message.objects.exists()
    assert post(cast.payments, cast.bob).sequence == 1


LOSING_ACCESS: dict[str, Callable[[Cast], object]] = {
    "topic inactive": lambda cast: Topic.objects.update(is_active=False),
    "group inactive": lambda cast: MessengerGroup.objects.update(is_active=False),
    "left the group": lambda cast: save_group(cast.payroll, [cast.alice]),
    "member deactivated": lambda cast: type(cast.bob).objects.filter(pk=cast.bob.pk).update(is_active=False),
    "person deactivated": lambda cast: type(cast.bob.user).objects.update(is_active=False),
    "messenger off": lambda cast: set_messenger_enabled(cast.northwind, False),
}


@in_one_transaction
@pytest.mark.parametrize("way", LOSING_ACCESS)
def test_a_member_who_lost_access_cannot_post(cast: Cast, way: str) -> None:
    post(cast.payments, cast.bob)
    LOSING_ACCESS[way](cast)
    with pytest.raises(Topic.DoesNotExist):
        post(cast.payments, cast.bob)
    assert Message.objects.count() == 1, "earlier messages stay"


@in_one_transaction
def test_a_nonexistent_topic_raises_the_same_as_a_foreign_one(cast: Cast) -> None:
    with pytest.raises(Topic.DoesNotExist):
        post_message(10**17, cast.bob, "Hello", uuid4())


@in_one_transaction
@pytest.mark.parametrize("text", ["", " \n\t ", "x" * 10_001])
def test_an_invalid_text_changes_nothing(cast: Cast, text: str) -> None:
    with pytest.raises(ValidationError):
        post(cast.payments, cast.alice, text)
    cast.payments.refresh_from_db()
    assert (cast.payments.last_sequence, Message.objects.count()) == (0, 0)


@in_one_transaction
def test_the_text_is_stored_with_its_html(cast: Cast) -> None:
    message = post(cast.payments, cast.alice, "one\r\n**two**\0")
    message.refresh_from_db()
    assert message.body == "one\n**two**"
    assert "<strong>two</strong>" in message.body_html


# -- Retries -------------------------------------------------------------------------------------------


@in_one_transaction
def test_a_retry_returns_the_message_already_stored(cast: Cast) -> None:
    client_id = uuid4()
    first = post_message(cast.payments.pk, cast.alice, "Paid on\r\nFriday", client_id)
    again = post_message(cast.payments.pk, cast.alice, "Paid on\nFriday", client_id)
    assert (first.is_new, again.is_new) == (True, False)
    assert first.message == again.message
    cast.payments.refresh_from_db()
    assert (cast.payments.last_sequence, cast.payments.revision, Message.objects.count()) == (1, 1, 1)


@in_one_transaction
def test_a_different_text_under_the_same_client_id_is_refused_and_the_first_stays(cast: Cast) -> None:
    client_id = uuid4()
    post_message(cast.payments.pk, cast.alice, "Paid on Friday", client_id)
    with pytest.raises(DifferentTextError):
        post_message(cast.payments.pk, cast.alice, "Paid on Monday", client_id)
    assert Message.objects.get().body == "Paid on Friday"


@in_one_transaction
def test_a_client_id_is_unique_per_author_and_topic(cast: Cast) -> None:
    client_id = uuid4()
    other = Topic.objects.create(tenancy=cast.northwind, group=cast.payroll, name="Overtime")
    for topic, author in [(cast.payments, cast.alice), (cast.payments, cast.bob), (other, cast.alice)]:
        assert post_message(topic.pk, author, "Hello", client_id).is_new


@in_one_transaction
def test_a_retry_by_a_former_member_finds_no_topic(cast: Cast) -> None:
    client_id = uuid4()
    post_message(cast.payments.pk, cast.bob, "Hello", client_id)
    save_group(cast.payroll, [cast.alice])
    with pytest.raises(Topic.DoesNotExist):
        post_message(cast.payments.pk, cast.bob, "Hello", client_id)


# -- Cost ----------------------------------------------------------------------------------------------


def statements_of(work: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        work()
    ignored = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")
    return [query["sql"] for query in captured.captured_queries if not query["sql"].startswith(ignored)]


@in_one_transaction
def test_the_number_of_statements_of_a_post_does_not_depend_on_the_size_of_the_group(cast: Cast) -> None:
    post(cast.payments, cast.alice)  # the first message creates the author's read position
    age(cast.payments, HOUR)
    small = statements_of(lambda: post(cast.payments, cast.alice))
    crowd = [make_member(cast.northwind, f"member{number} Crowd") for number in range(40)]
    save_group(cast.payroll, [cast.alice, cast.bob, *crowd])
    age(cast.payments, HOUR)
    large = statements_of(lambda: post(cast.payments, cast.alice))
    assert cast.payments.readers().count() == 42, "or the test proves nothing"
    assert Message.objects.filter(outcome="email").count() == 3, "or the test proves nothing"
    assert len(small) == len(large) <= 3, "\n".join(large)


# -- Concurrency ---------------------------------------------------------------------------------------

POSTERS = 16


@pytest.fixture
def slow_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slows the decision down, so that posts that are not serialised overlap."""

    def decide_slowly(*args: Any) -> Any:
        time.sleep(0.02)
        return interval_rule.decide(*args)

    monkeypatch.setattr(posting, "decide", decide_slowly)


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch_only(topic_pk: int, author: Member) -> tuple[Topic, int]:
        return Topic.objects.visible_to(author).get(pk=topic_pk), 1

    monkeypatch.setattr(posting, "_lock", fetch_only)


def post_all_at_once(cast: Cast) -> list[Posted | BaseException]:
    Topic.objects.filter(pk=cast.payments.pk).update(notification_interval=60)

    def post_as(author: Member) -> Callable[[], Posted]:
        return lambda: post_message(cast.payments.pk, author, "Hello", uuid4())

    return together([post_as(author) for author in [cast.alice, cast.bob] * (POSTERS // 2)])


@on_the_real_database
@pytest.mark.usefixtures("slow_decision")
def test_of_sixteen_concurrent_messages_one_is_emailed_and_all_are_in_order(cast: Cast) -> None:
    results = post_all_at_once(cast)
    assert all(isinstance(posted, Posted) for posted in results), results
    messages = list(Message.objects.oldest_first())
    assert [message.sequence for message in messages] == list(range(1, POSTERS + 1))
    assert [message.outcome for message in messages] == ["email"] + ["no_email"] * (POSTERS - 1)
    assert messages[0].elapsed is None
    for earlier, later in pairwise(messages):
        assert later.elapsed == later.posted_at - earlier.posted_at >= timedelta(0)
    assert [message.revision for message in messages] == list(range(1, POSTERS + 1))


@on_the_real_database
@pytest.mark.usefixtures("slow_decision", "without_locks")
def test_without_the_locks_the_test_above_would_fail(cast: Cast) -> None:
    results = post_all_at_once(cast)
    failed = [posted for posted in results if isinstance(posted, BaseException)]
    emailed = Message.objects.filter(outcome="email").count()
    assert failed or emailed > 1


@on_the_real_database
@pytest.mark.usefixtures("slow_decision")
def test_a_double_click_posts_one_message(cast: Cast) -> None:
    client_id = uuid4()
    results = together([lambda: post_message(cast.payments.pk, cast.alice, "Hello", client_id)] * 4)
    assert [posted.is_new for posted in results if isinstance(posted, Posted)].count(True) == 1
    assert {posted.message.pk for posted in results if isinstance(posted, Posted)} == {Message.objects.get().pk}
    assert all(isinstance(posted, Posted) for posted in results), results


@pytest.fixture
def commit_post(cast: Cast) -> Iterator[Callable[[], None]]:
    """A message by Bob is stored but not committed. Calling the fixture commits it."""
    stored, may_commit = Event(), Event()

    def post_and_wait() -> None:
        with transaction.atomic():
            post(cast.payments, cast.bob)
            stored.set()
            may_commit.wait(PATIENCE)

    future: Future[None] = start(post_and_wait)
    assert stored.wait(PATIENCE), "the post is under way, or the test proves nothing"

    def commit() -> None:
        may_commit.set()
        future.result(PATIENCE)

    yield commit
    commit()


@on_the_real_database
def test_leaving_waits_for_an_uncommitted_post_which_still_counts_the_member(
    cast: Cast, commit_post: Callable[[], None]
) -> None:
    leaving = start(lambda: save_group(cast.payroll, [cast.alice]))
    assert another_connection_waits_for_a_lock()
    assert not leaving.done()
    commit_post()
    leaving.result(PATIENCE)
    message = Message.objects.get()
    membership = GroupMembership.objects.get(member=cast.bob)
    assert membership.left_at is not None
    assert membership.joined_at <= message.posted_at <= membership.left_at


@on_the_real_database
def test_joining_waits_for_an_uncommitted_post_which_does_not_count_the_member(
    cast: Cast, commit_post: Callable[[], None]
) -> None:
    joining = start(lambda: save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie]))
    assert another_connection_waits_for_a_lock()
    commit_post()
    joining.result(PATIENCE)
    assert not recipients.members_at(Message.objects.get()).contains(cast.charlie)
    assert cast.payments.readers().contains(cast.charlie)


@on_the_real_database
def test_an_uncommitted_post_does_not_block_other_topics_of_the_group(
    cast: Cast, commit_post: Callable[[], None]
) -> None:
    other = Topic.objects.create(tenancy=cast.northwind, group=cast.payroll, name="Overtime")
    assert start(lambda: post(other, cast.alice)).result(PATIENCE).sequence == 1


@on_the_real_database
def test_a_post_waits_for_an_uncommitted_removal_from_the_group_and_then_finds_no_topic(cast: Cast) -> None:
    with transaction.atomic():
        save_group(cast.payroll, [cast.alice])
        late = start(lambda: post(cast.payments, cast.bob))
        assert another_connection_waits_for_a_lock()
    assert isinstance(late.exception(PATIENCE), Topic.DoesNotExist)
    assert not Message.objects.exists()


@on_the_real_database
def test_without_the_lock_on_the_group_the_post_would_succeed(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock_topic_only(topic_pk: int, author: Member) -> tuple[Topic, int]:
        return Topic.objects.visible_to(author).select_for_update(no_key=True).get(pk=topic_pk), 1

    monkeypatch.setattr(posting, "_lock", lock_topic_only)
    with transaction.atomic():
        MessengerGroup.objects.select_for_update(no_key=True).get(pk=cast.payroll.pk)
        GroupMembership.objects.filter(member=cast.bob).update(left_at=timezone.now(), left_roster=2)
        assert start(lambda: post(cast.payments, cast.bob)).exception(PATIENCE) is None


DEACTIVATIONS: dict[str, Callable[[Cast], object]] = {
    "group": lambda cast: save_group(deactivated(cast.payroll), [cast.alice, cast.bob]),
    "member": lambda cast: save_member(deactivated(cast.bob)),
    "messenger": lambda cast: set_messenger_enabled(cast.northwind, False),
}


def deactivated(row: Any) -> Any:
    row.is_active = False
    return row


@on_the_real_database
@pytest.mark.parametrize("what", DEACTIVATIONS)
def test_a_post_waits_for_an_uncommitted_deactivation_and_then_finds_no_topic(cast: Cast, what: str) -> None:
    with transaction.atomic():
        DEACTIVATIONS[what](cast)
        late = start(lambda: post(cast.payments, cast.bob))
        assert another_connection_waits_for_a_lock()
    assert isinstance(late.exception(PATIENCE), Topic.DoesNotExist)
    assert not Message.objects.exists()


@on_the_real_database
def test_deactivating_a_topic_does_not_deadlock_with_a_post(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The post has locked the group and waits for the topic; the edit must not lock them in the opposite order."""
    group_locked, topic_saved = Event(), Event()
    lock, save = posting._lock, Topic.save

    def lock_late(topic_pk: int, author: Member) -> tuple[Topic, int]:
        posting.HELD_GROUP(topic_pk)
        group_locked.set()
        topic_saved.wait(1)
        return lock(topic_pk, author)

    def save_and_signal(topic: Topic, **options: Any) -> None:
        save(topic, **options)
        topic_saved.set()

    monkeypatch.setattr(posting, "_lock", lock_late)
    monkeypatch.setattr(Topic, "save", save_and_signal)
    late = start(lambda: post(cast.payments, cast.bob))
    assert group_locked.wait(PATIENCE), "the post is under way, or the test proves nothing"
    settings = {
        "name": cast.payments.name,
        "notifications_enabled": "on",
        "notification_interval_0": "30",
        "notification_interval_1": "minutes",
    }
    alice = sign_in(cast.alice)
    alice.raise_request_exception = False
    answer = alice.post(f"/northwind/messenger/topics/{cast.payments.pk}/edit/", settings)
    failure = late.exception(PATIENCE)
    assert answer.status_code == 302
    assert failure is None or isinstance(failure, Topic.DoesNotExist), failure
    cast.payments.refresh_from_db()
    assert not cast.payments.is_active
