"""What an event costs while many listen: one look for all, each distinct text once, no turn of the event loop each."""

import asyncio
import gc
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from django.db import DataError, OperationalError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Session
from ippex_messenger import asgi
from messenger.groups.services import save_group
from messenger.live.subscription import GONE, Subscription
from messenger.live.updates import CloseReason, StreamContext, Update, collect_updates
from messenger.models import Topic
from tenancy.models import Member
from tests.messenger.live.test_stream import ADMISSION, elsewhere, play
from tests.support.cast import Cast, make_member, post, sign_in

Found = list[Update | CloseReason | None]


def admitted(topic: Topic, *members: Member) -> list[tuple[StreamContext, int]]:
    """As if each had opened a stream before the first message."""
    for member in members:
        sign_in(member)
    keys = dict(Session.objects.values_list("user", "session_key"))
    return [
        (
            StreamContext(
                session_key=keys[member.user_id],
                password=member.user.password,
                member_id=member.pk,
                topic_id=topic.pk,
                language="en",
                time_zone="UTC",
                slug=member.tenancy.slug,
            ),
            0,
        )
        for member in members
    ]


def looked(
    *batches: list[tuple[StreamContext, int]], meanwhile: Callable[[int], object] = lambda _: None
) -> list[Found]:
    """In a thread with a connection of its own, as in the product."""
    found: list[Found] = []

    def answer(number: int, of_batch: Found) -> None:
        found.append(of_batch)
        meanwhile(number)

    asyncio.run(elsewhere(lambda: collect_updates(batches, answer)))
    return found


@pytest.mark.django_db(transaction=True)
def test_a_look_makes_as_many_statements_for_many_as_for_two(cast: Cast) -> None:
    many = [make_member(cast.northwind, f"Reader{number} Reed") for number in range(20)]
    save_group(cast.payroll, [cast.alice, cast.bob, *many])
    post(cast.payments, cast.alice)
    listening = admitted(cast.payments, cast.alice, cast.bob, *many)

    def cost(of_these: list[tuple[StreamContext, int]]) -> int:
        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                collect_updates([of_these], lambda _number, found: told.append(found))
            return len(captured)

        told: list[Found] = []
        statements = asyncio.run(elsewhere(count))
        assert all(isinstance(one, Update) for one in told[0]), "or the test proves nothing"
        return statements

    cost(listening)  # counts the audience
    assert cost(listening) == cost(listening[:2]) <= 8


@pytest.mark.django_db(transaction=True)
def test_who_is_told_the_same_is_handed_the_same_bytes(cast: Cast) -> None:
    many = [make_member(cast.northwind, f"Reader{number} Reed") for number in range(6)]
    save_group(cast.payroll, [cast.alice, cast.bob, *many])
    post(cast.payments, cast.alice, "For @Bob Brandt.")
    batches = admitted(cast.payments, cast.alice, cast.bob, *many[:2]), admitted(cast.payments, *many[2:])
    events = [one.event for found in looked(*batches) for one in found if isinstance(one, Update)]
    assert len(events) == 8
    assert len({id(event) for event in events}) == 3, "the author, who is mentioned, and everybody else"


@pytest.mark.django_db(transaction=True)
def test_all_batches_of_a_look_are_of_one_snapshot_which_nothing_can_be_written_in(cast: Cast) -> None:
    """Content and access are of one moment, however many listen: what comes later is for the next look."""
    post(cast.payments, cast.alice, "First")
    batches = [[one] for one in admitted(cast.payments, cast.alice, cast.bob)]
    modes = []

    def change(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
            modes.append(cursor.fetchone())
        if number == 0:
            asyncio.run(elsewhere(post_and_remove))

    def post_and_remove() -> None:
        save_group(cast.payroll, [cast.alice])
        post(cast.payments, cast.alice, "Confidential-canary")

    (_,), (bobs,) = looked(*batches, meanwhile=change)
    assert modes == [("repeatable read", "on")] * 2
    assert isinstance(bobs, Update)
    assert b"First" in bobs.event
    assert b"canary" not in bobs.event
    assert looked(*batches)[1] == [CloseReason.NO_ACCESS]


MODES = (
    "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'), "
    "current_setting('default_transaction_isolation'), current_setting('default_transaction_read_only')"
)


def modes_of_the_connection() -> list[tuple[str, ...]]:
    """What holds for a statement by itself, and within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(MODES)
        found = [cursor.fetchone()]
        with transaction.atomic():
            cursor.execute(MODES)
            return [*found, cursor.fetchone()]


def fail(_number: int) -> None:
    raise LookupError


def fail_in_sql(_number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")


def lose_the_connection(_number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


WAYS_TO_END: dict[str, tuple[Callable[[int], object], type[Exception] | None]] = {
    "as it should": (lambda _number: None, None),
    "an error of ours": (fail, LookupError),
    "an error of a statement": (fail_in_sql, DataError),
    "no connection": (lose_the_connection, OperationalError),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", WAYS_TO_END)
def test_a_look_leaves_the_connection_as_it_was_found(cast: Cast, way: str) -> None:
    meanwhile, error = WAYS_TO_END[way]
    post(cast.payments, cast.alice)
    batch = admitted(cast.payments, cast.alice, cast.bob)

    def scene() -> None:
        before = modes_of_the_connection()
        assert before == [("read committed", "off") * 2] * 2, "or the test proves nothing"
        for _ in range(2):
            with pytest.raises(error) if error else nullcontext():
                collect_updates([batch], lambda number, _found: meanwhile(number))
            assert modes_of_the_connection() == before
            assert connection.get_autocommit()
            assert not connection.in_atomic_block
            post(cast.payments, cast.alice, "Written over the same connection")

    asyncio.run(elsewhere(scene))


@pytest.mark.django_db(transaction=True)
def test_a_look_within_a_transaction_is_refused_and_leaves_it_alone(cast: Cast) -> None:
    def scene() -> None:
        with transaction.atomic():
            with pytest.raises(TransactionManagementError):
                collect_updates([], lambda _number, _found: None)
            post(cast.payments, cast.alice)

    asyncio.run(elsewhere(scene))
    assert cast.payments.messages.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_look_sends_nothing_but_its_questions_and_a_begin_that_says_what_it_is(cast: Cast) -> None:
    """As the server hears it: psycopg2 sends statements that Django does not know of."""
    post(cast.payments, cast.alice)
    batch = admitted(cast.payments, cast.alice, cast.bob)

    def heard() -> list[str]:
        collect_updates([batch], lambda _number, _found: None)  # which prepares its statements
        with connection.cursor() as cursor:
            cursor.execute("SET lc_messages = 'C'; SET client_min_messages = log; SET log_statement = 'all'")
        connection.connection.notices.clear()
        collect_updates([batch], lambda _number, _found: None)
        return [notice.removeprefix("LOG:  statement: ").strip() for notice in connection.connection.notices]

    begin, *questions, commit = asyncio.run(elsewhere(heard))
    assert (begin, commit) == ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "COMMIT")
    assert len(questions) > 2
    assert all(question.startswith("EXECUTE ") for question in questions), questions


@pytest.mark.django_db(transaction=True)
def test_each_batch_is_answered_before_the_next_is_looked_up(cast: Cast) -> None:
    batches = [[one] for one in admitted(cast.payments, cast.alice, cast.bob)]

    def count() -> list[int]:
        with CaptureQueriesContext(connection) as captured:
            collect_updates(batches, lambda _number, _found: counts.append(len(captured)))
        return counts

    counts: list[int] = []
    first, second = asyncio.run(elsewhere(count))
    assert second == first + 1


def end_session(cast: Cast) -> None:
    Session.objects.filter(user=cast.bob.user).update(expire_date=timezone.now())


def swap_sessions(cast: Cast) -> None:
    """Bob's key is now that of Alice, who reads the topic too."""
    Session.objects.filter(user=cast.bob.user).update(user=cast.alice.user)


def leave_with_a_session_that_is_over(cast: Cast) -> None:
    end_session(cast)
    save_group(cast.payroll, [cast.alice])


OUTCOMES: dict[str, tuple[Callable[[Cast], object], CloseReason | type[Update]]] = {
    "nothing": (lambda cast: None, Update),
    "left": (lambda cast: save_group(cast.payroll, [cast.alice]), CloseReason.NO_ACCESS),
    "over": (end_session, CloseReason.SIGNED_OUT),
    "somebody else's": (swap_sessions, CloseReason.SIGNED_OUT),
    "both": (leave_with_a_session_that_is_over, CloseReason.SIGNED_OUT),
    "of before sessions knew": (
        lambda cast: Session.objects.filter(user=cast.bob.user).update(user=None),
        CloseReason.SIGNED_OUT,
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", OUTCOMES)
def test_a_look_says_of_each_listener_what_is_so(cast: Cast, way: str) -> None:
    change, outcome = OUTCOMES[way]
    post(cast.payments, cast.alice)
    batch = admitted(cast.payments, cast.alice, cast.bob)
    change(cast)
    ((alices, bobs),) = looked(batch)
    assert isinstance(alices, Update)
    assert isinstance(bobs, Update) if outcome is Update else bobs is outcome


@pytest.mark.django_db(transaction=True)
def test_a_session_that_does_not_know_its_user_listens_as_long_as_it_is_open(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    Session.objects.all().delete()
    ((bob, since),) = admitted(cast.payments, cast.bob)
    Session.objects.update(user=None)
    bob = replace(bob, password=None)
    assert isinstance(looked([(bob, since)])[0][0], Update)
    Session.objects.all().delete()
    assert looked([(bob, since)]) == [[CloseReason.SIGNED_OUT]]


# -- Handing on --------------------------------------------------------------------------------------------------------


class Server:
    """Takes what is sent, at once or when it is let."""

    def __init__(self, slow: bool = False) -> None:
        self.taken: list[bytes] = []
        self.may_go_on = asyncio.Event()
        if not slow:
            self.may_go_on.set()

    async def send(self, message: dict[str, Any]) -> None:
        if not self.may_go_on.is_set():
            await self.may_go_on.wait()
        self.taken.append(message["body"])


async def listening(server: Server) -> tuple[Subscription, asyncio.Task[None]]:
    subscription = Subscription(ADMISSION, 0)
    relaying = asyncio.create_task(subscription.relay(server.send))
    await asyncio.sleep(0)
    return subscription, relaying


def test_what_the_server_takes_at_once_is_sent_without_a_turn_of_the_event_loop() -> None:
    async def scene() -> None:
        server = Server()
        subscription, relaying = await listening(server)
        subscription.send(1, b"first")
        subscription.send(2, b"second")
        subscription.send(2, b"again")
        assert server.taken == [b"first", b"second"]
        subscription.revoke()
        subscription.revoke()
        subscription.send(3, b"late")
        assert server.taken[2:] == [GONE]
        await relaying

    play(scene())


def test_a_stream_that_cannot_keep_up_is_sent_the_newest_and_then_told_that_it_is_over() -> None:
    async def scene() -> None:
        server = Server(slow=True)
        subscription, relaying = await listening(server)
        for revision, event in enumerate((b"first", b"second", b"third"), start=1):
            subscription.send(revision, event)
        assert (server.taken, subscription.revision) == ([], 1), "of what is being sent"
        server.may_go_on.set()
        while len(server.taken) < 2:
            await asyncio.sleep(0)
        assert server.taken == [b"first", b"third"]
        server.may_go_on.clear()
        subscription.send(4, b"fourth")
        subscription.revoke()
        await asyncio.sleep(0.01)
        assert not relaying.done(), "what is being sent is sent"
        server.may_go_on.set()
        await relaying
        assert server.taken[2:] == [b"fourth", GONE]

    play(scene())


def test_what_comes_before_the_answer_has_begun_waits_for_it() -> None:
    async def scene() -> None:
        server, subscription = Server(), Subscription(ADMISSION, 0)
        subscription.send(1, b"first")
        subscription.send(2, b"second")
        relaying = asyncio.create_task(subscription.relay(server.send))
        await asyncio.sleep(0)
        assert server.taken == [b"second"]
        subscription.end()
        await relaying

    play(scene())


@pytest.mark.parametrize("slow", [False, True])
def test_a_stream_that_breaks_ends_alone(slow: bool) -> None:
    async def scene() -> None:
        async def broken(_message: dict[str, Any]) -> None:
            if slow:
                await asyncio.sleep(0)
            raise OSError("gone")

        server = Server()
        other, relaying_other = await listening(server)
        subscription = Subscription(ADMISSION, 0)
        relaying = asyncio.create_task(subscription.relay(broken))
        await asyncio.sleep(0)
        for one in (subscription, other):
            one.send(1, b"first")
        with pytest.raises(OSError, match="gone"):
            await relaying
        assert subscription.is_over
        assert server.taken == [b"first"]
        other.end()
        await relaying_other

    play(scene())


def test_who_leaves_while_something_is_being_sent_leaves_nothing_behind() -> None:
    async def scene() -> None:
        before = asyncio.all_tasks()
        subscription, relaying = await listening(Server(slow=True))
        subscription.send(1, b"first")
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks() - before) == 2, "or the test proves nothing"
        relaying.cancel()
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == before

    play(scene())


def test_what_was_loaded_is_not_gone_through_while_streams_wait() -> None:
    assert asgi.__name__ in sys.modules
    assert gc.get_freeze_count() > 10_000
