"""Posting: order, decision, retry, and that all of it holds when many post at once."""

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
from tests.support.concurrency import PATIENCE, somebody_waits_for_a_lock, start, together

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
def test_the_topic_and_its_last_message_tell_the_same(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    last = post(cast.payments, cast.bob)
    cast.payments.refresh_from_db()
    assert cast.payments.last_activity_at == last.posted_at
    assert cast.payments.revision == last.revision == 2
    assert cast.payments.last_sequence == last.sequence


@in_one_transaction
def test_the_first_message_is_emailed_and_has_nothing_before_it(cast: Cast) -> None:
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
def test_the_decision_keeps_the_interval_and_the_time_elapsed(
    cast: Cast, since_previous: timedelta, expected: tuple[str, str]
) -> None:
    Topic.objects.filter(pk=cast.payments.pk).update(notification_interval=15)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        post(cast.payments, cast.alice)
        clock.shift(since_previous)
        assert decision(post(cast.payments, cast.bob)) == (*expected, 15, since_previous)


@in_one_transaction
def test_a_message_that_was_not_emailed_is_a_previous_message_too(cast: Cast) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        outcomes = []
        for _ in range(4):
            outcomes.append(post(cast.payments, cast.alice).outcome)
            clock.shift(20 * MINUTE)
    assert outcomes == ["email", "no_email", "no_email", "no_email"], "a busy topic stays silent"


@in_one_transaction
def test_with_an_interval_of_nothing_every_message_is_emailed(cast: Cast) -> None:
    Topic.objects.filter(pk=cast.payments.pk).update(notification_interval=0)
    assert {post(cast.payments, cast.alice).outcome for _ in range(3)} == {"email"}


@in_one_transaction
def test_notifications_that_are_off_are_the_reason_whatever_the_time(cast: Cast) -> None:
    Topic.objects.filter(pk=cast.payments.pk).update(notifications_enabled=False)
    assert decision(post(cast.payments, cast.alice)) == ("no_email", "notifications_off", 30, None)
    age(cast.payments, 2 * HOUR)
    outcome, reason, interval, elapsed = decision(post(cast.payments, cast.alice))
    assert (outcome, reason, interval) == ("no_email", "notifications_off", 30)
    assert elapsed is not None
    assert elapsed >= 2 * HOUR


@in_one_transaction
def test_a_message_posted_while_notifications_were_off_is_a_previous_message_too(cast: Cast) -> None:
    Topic.objects.filter(pk=cast.payments.pk).update(notifications_enabled=False)
    post(cast.payments, cast.alice)
    Topic.objects.filter(pk=cast.payments.pk).update(notifications_enabled=True)
    assert decision(post(cast.payments, cast.bob))[:2] == ("no_email", "interval")


@in_one_transaction
def test_another_interval_counts_from_the_next_message_on(cast: Cast) -> None:
    first = post(cast.payments, cast.alice)
    silent = post(cast.payments, cast.bob)
    before = [decision(message) for message in (first, silent)]
    age(cast.payments, 10 * MINUTE)
    Topic.objects.filter(pk=cast.payments.pk).update(notification_interval=5)
    assert decision(post(cast.payments, cast.alice))[:3] == ("email", "", 5)
    assert [decision(message) for message in (first, silent)] == before


@in_one_transaction
def test_topics_do_not_silence_each_other(cast: Cast) -> None:
    other = Topic.objects.create(tenancy=cast.northwind, group=cast.payroll, name="Overtime")
    assert post(cast.payments, cast.alice).outcome == post(other, cast.alice).outcome == "email"


# -- Clocks --------------------------------------------------------------------------------------------


@in_one_transaction
def test_a_clock_set_back_moves_no_message_before_the_previous_one(cast: Cast) -> None:
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
    """The host that wrote the memberships was ahead of the one that takes the message."""
    with time_machine.travel(timezone.now() - HOUR, tick=False):
        message = post(cast.payments, cast.alice)
    assert message.outcome == "email"
    outbox.fan_out(message.pk)
    told = Delivery.objects.filter(message=message, state="waiting").values_list("member", flat=True)
    assert list(told) == [cast.bob.pk]


@in_one_transaction
def test_a_clock_set_back_keeps_nobody_in_a_group(cast: Cast) -> None:
    """Somebody who joined by a fast clock can be removed by a slow one."""
    with time_machine.travel(timezone.now() - HOUR, tick=False):
        save_group(cast.payroll, [cast.alice])
    assert not cast.payments.readers().contains(cast.bob)


@in_one_transaction
def test_who_joins_after_a_message_is_not_told_of_it_even_by_a_clock_set_back(cast: Cast) -> None:
    message = post(cast.payments, cast.alice)
    with time_machine.travel(timezone.now() - MINUTE, tick=False):
        save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    outbox.fan_out(message.pk)
    assert not Delivery.objects.filter(message=message, member=cast.charlie).exists()


# -- Who may, and what is stored -----------------------------------------------------------------------


@in_one_transaction
def test_only_readers_post(cast: Cast) -> None:
    for outsider in (cast.charlie, cast.dana, cast.mallory, cast.erin):
        with pytest.raises(Topic.DoesNotExist):
            post(cast.payments, outsider)
    assert not Message.objects.exists()
    assert post(cast.payments, cast.bob).sequence == 1


TAKING_ACCESS_AWAY: dict[str, Callable[[Cast], object]] = {
    "topic inactive": lambda cast: Topic.objects.update(is_active=False),
    "group inactive": lambda cast: MessengerGroup.objects.update(is_active=False),
    "left the group": lambda cast: save_group(cast.payroll, [cast.alice]),
    "member deactivated": lambda cast: type(cast.bob).objects.filter(pk=cast.bob.pk).update(is_active=False),
    "person deactivated": lambda cast: type(cast.bob.user).objects.update(is_active=False),
    "messenger off": lambda cast: set_messenger_enabled(cast.northwind, False),
}


@in_one_transaction
@pytest.mark.parametrize("way", TAKING_ACCESS_AWAY)
def test_who_lost_access_posts_no_more(cast: Cast, way: str) -> None:
    post(cast.payments, cast.bob)
    TAKING_ACCESS_AWAY[way](cast)
    with pytest.raises(Topic.DoesNotExist):
        post(cast.payments, cast.bob)
    assert Message.objects.count() == 1, "what they had written stays"


@in_one_transaction
def test_a_topic_that_never_was_is_as_one_of_others(cast: Cast) -> None:
    with pytest.raises(Topic.DoesNotExist):
        post_message(10**17, cast.bob, "Hello", uuid4())


@in_one_transaction
@pytest.mark.parametrize("text", ["", " \n\t ", "x" * 10_001])
def test_a_text_that_will_not_do_changes_nothing(cast: Cast, text: str) -> None:
    with pytest.raises(ValidationError):
        post(cast.payments, cast.alice, text)
    cast.payments.refresh_from_db()
    assert (cast.payments.last_sequence, Message.objects.count()) == (0, 0)


@in_one_transaction
def test_the_text_is_stored_beside_its_html(cast: Cast) -> None:
    message = post(cast.payments, cast.alice, "one\r\n**two**\0")
    message.refresh_from_db()
    assert message.body == "one\n**two**"
    assert "<strong>two</strong>" in message.body_html


# -- Once ----------------------------------------------------------------------------------------------


@in_one_transaction
def test_a_retry_is_answered_with_the_message_already_stored(cast: Cast) -> None:
    client_id = uuid4()
    first = post_message(cast.payments.pk, cast.alice, "Paid on\r\nFriday", client_id)
    again = post_message(cast.payments.pk, cast.alice, "Paid on\nFriday", client_id)
    assert (first.is_new, again.is_new) == (True, False)
    assert first.message == again.message
    cast.payments.refresh_from_db()
    assert (cast.payments.last_sequence, cast.payments.revision, Message.objects.count()) == (1, 1, 1)


@in_one_transaction
def test_another_text_under_the_same_id_is_refused_and_the_first_is_kept(cast: Cast) -> None:
    client_id = uuid4()
    post_message(cast.payments.pk, cast.alice, "Paid on Friday", client_id)
    with pytest.raises(DifferentTextError):
        post_message(cast.payments.pk, cast.alice, "Paid on Monday", client_id)
    assert Message.objects.get().body == "Paid on Friday"


@in_one_transaction
def test_an_id_belongs_to_its_author_and_topic(cast: Cast) -> None:
    client_id = uuid4()
    other = Topic.objects.create(tenancy=cast.northwind, group=cast.payroll, name="Overtime")
    for topic, author in [(cast.payments, cast.alice), (cast.payments, cast.bob), (other, cast.alice)]:
        assert post_message(topic.pk, author, "Hello", client_id).is_new


@in_one_transaction
def test_a_retry_by_somebody_who_left_tells_nothing(cast: Cast) -> None:
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
def test_posting_costs_the_same_whatever_the_size_of_the_group(cast: Cast) -> None:
    post(cast.payments, cast.alice)  # the first one begins the author's read position
    age(cast.payments, HOUR)
    small = statements_of(lambda: post(cast.payments, cast.alice))
    crowd = [make_member(cast.northwind, f"member{number} Crowd") for number in range(40)]
    save_group(cast.payroll, [cast.alice, cast.bob, *crowd])
    age(cast.payments, HOUR)
    large = statements_of(lambda: post(cast.payments, cast.alice))
    assert cast.payments.readers().count() == 42, "or the test proves nothing"
    assert Message.objects.filter(outcome="email").count() == 3, "or the test proves nothing"
    assert len(small) == len(large) <= 3, "\n".join(large)


# -- At the same time ----------------------------------------------------------------------------------

POSTERS = 16


@pytest.fixture
def slow_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that posters who are not kept apart do meet."""

    def decide_slowly(*args: Any) -> Any:
        time.sleep(0.02)
        return interval_rule.decide(*args)

    monkeypatch.setattr(posting, "decide", decide_slowly)


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def unlocked(topic_pk: int, author: Member) -> tuple[Topic, int]:
        return Topic.objects.visible_to(author).get(pk=topic_pk), 1

    monkeypatch.setattr(posting, "_lock", unlocked)


def post_all_at_once(cast: Cast) -> list[Posted | BaseException]:
    Topic.objects.filter(pk=cast.payments.pk).update(notification_interval=60)

    def post_as(author: Member) -> Callable[[], Posted]:
        return lambda: post_message(cast.payments.pk, author, "Hello", uuid4())

    return together([post_as(author) for author in [cast.alice, cast.bob] * (POSTERS // 2)])


@on_the_real_database
@pytest.mark.usefixtures("slow_to_decide")
def test_of_sixteen_messages_at_once_one_is_emailed_and_all_are_in_order(cast: Cast) -> None:
    came_of_it = post_all_at_once(cast)
    assert all(isinstance(posted, Posted) for posted in came_of_it), came_of_it
    messages = list(Message.objects.oldest_first())
    assert [message.sequence for message in messages] == list(range(1, POSTERS + 1))
    assert [message.outcome for message in messages] == ["email"] + ["no_email"] * (POSTERS - 1)
    assert messages[0].elapsed is None
    for earlier, later in pairwise(messages):
        assert later.elapsed == later.posted_at - earlier.posted_at >= timedelta(0)
    assert [message.revision for message in messages] == list(range(1, POSTERS + 1))


@on_the_real_database
@pytest.mark.usefixtures("slow_to_decide", "without_locks")
def test_without_the_locks_the_test_above_would_fail(cast: Cast) -> None:
    came_of_it = post_all_at_once(cast)
    failed = [posted for posted in came_of_it if isinstance(posted, BaseException)]
    emailed = Message.objects.filter(outcome="email").count()
    assert failed or emailed > 1


@on_the_real_database
@pytest.mark.usefixtures("slow_to_decide")
def test_a_double_click_is_one_message(cast: Cast) -> None:
    client_id = uuid4()
    came_of_it = together([lambda: post_message(cast.payments.pk, cast.alice, "Hello", client_id)] * 4)
    assert [posted.is_new for posted in came_of_it if isinstance(posted, Posted)].count(True) == 1
    assert {posted.message.pk for posted in came_of_it if isinstance(posted, Posted)} == {Message.objects.get().pk}
    assert all(isinstance(posted, Posted) for posted in came_of_it), came_of_it


@pytest.fixture
def a_post_under_way(cast: Cast) -> Iterator[Callable[[], None]]:
    """A message of Bob's, written and not committed; call it to commit."""
    written, go_on = Event(), Event()

    def post_and_wait() -> None:
        with transaction.atomic():
            post(cast.payments, cast.bob)
            written.set()
            go_on.wait(PATIENCE)

    future: Future[None] = start(post_and_wait)
    assert written.wait(PATIENCE), "the post is under way, or the test proves nothing"

    def commit() -> None:
        go_on.set()
        future.result(PATIENCE)

    yield commit
    commit()


@on_the_real_database
def test_who_leaves_waits_for_a_post_under_way_and_that_message_counts_them(
    cast: Cast, a_post_under_way: Callable[[], None]
) -> None:
    leaving = start(lambda: save_group(cast.payroll, [cast.alice]))
    assert somebody_waits_for_a_lock()
    assert not leaving.done()
    a_post_under_way()
    leaving.result(PATIENCE)
    message = Message.objects.get()
    membership = GroupMembership.objects.get(member=cast.bob)
    assert membership.left_at is not None
    assert membership.joined_at <= message.posted_at <= membership.left_at


@on_the_real_database
def test_who_joins_waits_for_a_post_under_way_and_is_not_told_of_it(
    cast: Cast, a_post_under_way: Callable[[], None]
) -> None:
    joining = start(lambda: save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie]))
    assert somebody_waits_for_a_lock()
    a_post_under_way()
    joining.result(PATIENCE)
    assert not recipients.members_at(Message.objects.get()).contains(cast.charlie)
    assert cast.payments.readers().contains(cast.charlie)


@on_the_real_database
def test_others_post_into_the_groups_other_topics_meanwhile(cast: Cast, a_post_under_way: Callable[[], None]) -> None:
    other = Topic.objects.create(tenancy=cast.northwind, group=cast.payroll, name="Overtime")
    assert start(lambda: post(other, cast.alice)).result(PATIENCE).sequence == 1


@on_the_real_database
def test_a_post_waits_for_a_removal_under_way_and_then_finds_no_topic(cast: Cast) -> None:
    with transaction.atomic():
        save_group(cast.payroll, [cast.alice])
        late = start(lambda: post(cast.payments, cast.bob))
        assert somebody_waits_for_a_lock()
    assert isinstance(late.exception(PATIENCE), Topic.DoesNotExist)
    assert not Message.objects.exists()


@on_the_real_database
def test_without_holding_the_membership_it_would_get_in(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def topic_alone(topic_pk: int, author: Member) -> tuple[Topic, int]:
        return Topic.objects.visible_to(author).select_for_update(no_key=True).get(pk=topic_pk), 1

    monkeypatch.setattr(posting, "_lock", topic_alone)
    with transaction.atomic():
        MessengerGroup.objects.select_for_update(no_key=True).get(pk=cast.payroll.pk)
        GroupMembership.objects.filter(member=cast.bob).update(left_at=timezone.now(), left_roster=2)
        assert start(lambda: post(cast.payments, cast.bob)).exception(PATIENCE) is None


SWITCHING_OFF: dict[str, Callable[[Cast], object]] = {
    "group": lambda cast: save_group(switched_off(cast.payroll), [cast.alice, cast.bob]),
    "member": lambda cast: save_member(switched_off(cast.bob)),
    "messenger": lambda cast: set_messenger_enabled(cast.northwind, False),
}


def switched_off(row: Any) -> Any:
    row.is_active = False
    return row


@on_the_real_database
@pytest.mark.parametrize("what", SWITCHING_OFF)
def test_a_post_that_meets_a_switching_off_is_before_it_or_not_at_all(cast: Cast, what: str) -> None:
    with transaction.atomic():
        SWITCHING_OFF[what](cast)
        late = start(lambda: post(cast.payments, cast.bob))
        assert somebody_waits_for_a_lock()
    assert isinstance(late.exception(PATIENCE), Topic.DoesNotExist)
    assert not Message.objects.exists()


@on_the_real_database
def test_a_topic_made_inactive_and_a_post_at_the_same_moment_both_end_well(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The post holds the group and wants the topic; the edit may not hold the topic and want the group."""
    group_held, topic_saved = Event(), Event()
    lock, save = posting._lock, Topic.save

    def lock_late(topic_pk: int, author: Member) -> tuple[Topic, int]:
        posting.HELD_GROUP(topic_pk)
        group_held.set()
        topic_saved.wait(1)
        return lock(topic_pk, author)

    def save_and_tell(topic: Topic, **options: Any) -> None:
        save(topic, **options)
        topic_saved.set()

    monkeypatch.setattr(posting, "_lock", lock_late)
    monkeypatch.setattr(Topic, "save", save_and_tell)
    late = start(lambda: post(cast.payments, cast.bob))
    assert group_held.wait(PATIENCE), "the post is under way, or the test proves nothing"
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
