"""Updates for many streams: one snapshot for all, each distinct event built once, and sending without tasks."""

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
from tests.messenger.live.test_stream import CONTEXT, in_thread, run
from tests.support.cast import Cast, make_member, post, sign_in

Results = list[Update | CloseReason | None]


def stream_requests(topic: Topic, *members: Member) -> list[tuple[StreamContext, int]]:
    """A stream of each member, as if opened before the first message."""
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


def collected(
    *batches: list[tuple[StreamContext, int]], meanwhile: Callable[[int], object] = lambda _: None
) -> list[Results]:
    """The results of each batch, collected in a thread with a connection of its own, as in the product."""
    results: list[Results] = []

    def on_batch(number: int, of_batch: Results) -> None:
        results.append(of_batch)
        meanwhile(number)

    asyncio.run(in_thread(lambda: collect_updates(batches, on_batch)))
    return results


@pytest.mark.django_db(transaction=True)
def test_updates_for_many_streams_take_as_many_statements_as_for_two(cast: Cast) -> None:
    many = [make_member(cast.northwind, f"Reader{number} Reed") for number in range(20)]
    save_group(cast.payroll, [cast.alice, cast.bob, *many])
    post(cast.payments, cast.alice)
    streams = stream_requests(cast.payments, cast.alice, cast.bob, *many)

    def cost(batch: list[tuple[StreamContext, int]]) -> int:
        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                collect_updates([batch], lambda _number, of_batch: results.append(of_batch))
            return len(captured)

        results: list[Results] = []
        statements = asyncio.run(in_thread(count))
        assert all(isinstance(update, Update) for update in results[0]), "or the test proves nothing"
        return statements

    cost(streams)  # counts the audience
    assert cost(streams) == cost(streams[:2]) <= 8


@pytest.mark.django_db(transaction=True)
def test_equal_events_are_built_once(cast: Cast) -> None:
    many = [make_member(cast.northwind, f"Reader{number} Reed") for number in range(6)]
    save_group(cast.payroll, [cast.alice, cast.bob, *many])
    post(cast.payments, cast.alice, "For @Bob Brandt.")
    batches = stream_requests(cast.payments, cast.alice, cast.bob, *many[:2]), stream_requests(cast.payments, *many[2:])
    events = [update.event for results in collected(*batches) for update in results if isinstance(update, Update)]
    assert len(events) == 8
    assert len({id(event) for event in events}) == 3, "for the author, for the mentioned member, and for everybody else"


@pytest.mark.django_db(transaction=True)
def test_all_batches_are_of_one_read_only_snapshot(cast: Cast) -> None:
    """Messages and access are of one moment, however many streams there are; later changes wait for the next call."""
    post(cast.payments, cast.alice, "First")
    batches = [[request] for request in stream_requests(cast.payments, cast.alice, cast.bob)]
    modes = []

    def change(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
            modes.append(cursor.fetchone())
        if number == 0:
            asyncio.run(in_thread(post_and_remove))

    def post_and_remove() -> None:
        save_group(cast.payroll, [cast.alice])
        post(cast.payments, cast.alice, "Confidential-canary")

    (_,), (bobs,) = collected(*batches, meanwhile=change)
    assert modes == [("repeatable read", "on")] * 2
    assert isinstance(bobs, Update)
    assert b"First" in bobs.event
    assert b"canary" not in bobs.event
    assert collected(*batches)[1] == [CloseReason.NO_ACCESS]


MODES = (
    "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'), "
    "current_setting('default_transaction_isolation'), current_setting('default_transaction_read_only')"
)


def modes_of_the_connection() -> list[tuple[str, ...]]:
    """The modes outside of transactions, and within one."""
    with connection.cursor() as cursor:
        cursor.execute(MODES)
        outside = cursor.fetchone()
        with transaction.atomic():
            cursor.execute(MODES)
            return [outside, cursor.fetchone()]


def fail(_number: int) -> None:
    raise LookupError


def fail_in_sql(_number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")


def lose_the_connection(_number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


ENDINGS: dict[str, tuple[Callable[[int], object], type[Exception] | None]] = {
    "success": (lambda _number: None, None),
    "error in Python": (fail, LookupError),
    "error in SQL": (fail_in_sql, DataError),
    "connection lost": (lose_the_connection, OperationalError),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ending", ENDINGS)
def test_collecting_updates_restores_the_modes_of_the_connection(cast: Cast, ending: str) -> None:
    meanwhile, error = ENDINGS[ending]
    post(cast.payments, cast.alice)
    batch = stream_requests(cast.payments, cast.alice, cast.bob)

    def scenario() -> None:
        before = modes_of_the_connection()
        assert before == [("read committed", "off") * 2] * 2, "or the test proves nothing"
        for _ in range(2):
            with pytest.raises(error) if error else nullcontext():
                collect_updates([batch], lambda number, _results: meanwhile(number))
            assert modes_of_the_connection() == before
            assert connection.get_autocommit()
            assert not connection.in_atomic_block
            post(cast.payments, cast.alice, "Written over the same connection")

    asyncio.run(in_thread(scenario))


@pytest.mark.django_db(transaction=True)
def test_updates_cannot_be_collected_within_a_transaction(cast: Cast) -> None:
    def scenario() -> None:
        with transaction.atomic():
            with pytest.raises(TransactionManagementError):
                collect_updates([], lambda _number, _results: None)
            post(cast.payments, cast.alice)

    asyncio.run(in_thread(scenario))
    assert cast.payments.messages.count() == 1


@pytest.mark.django_db(transaction=True)
def test_collecting_updates_sends_its_queries_and_one_begin_with_its_modes(cast: Cast) -> None:
    """As logged by the server, because psycopg2 sends statements that Django does not see."""
    post(cast.payments, cast.alice)
    batch = stream_requests(cast.payments, cast.alice, cast.bob)

    def logged() -> list[str]:
        collect_updates([batch], lambda _number, _results: None)  # prepares the statements
        with connection.cursor() as cursor:
            cursor.execute("SET lc_messages = 'C'; SET client_min_messages = log; SET log_statement = 'all'")
        connection.connection.notices.clear()
        collect_updates([batch], lambda _number, _results: None)
        return [notice.removeprefix("LOG:  statement: ").strip() for notice in connection.connection.notices]

    begin, *queries, commit = asyncio.run(in_thread(logged))
    assert (begin, commit) == ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "COMMIT")
    assert len(queries) > 2
    assert all(query.startswith("EXECUTE ") for query in queries), queries


@pytest.mark.django_db(transaction=True)
def test_each_batch_is_passed_on_before_the_next_is_collected(cast: Cast) -> None:
    batches = [[request] for request in stream_requests(cast.payments, cast.alice, cast.bob)]

    def count() -> list[int]:
        with CaptureQueriesContext(connection) as captured:
            collect_updates(batches, lambda _number, _results: counts.append(len(captured)))
        return counts

    counts: list[int] = []
    first, second = asyncio.run(in_thread(count))
    assert second == first + 1


def end_session(cast: Cast) -> None:
    Session.objects.filter(user=cast.bob.user).update(expire_date=timezone.now())


def swap_sessions(cast: Cast) -> None:
    """Bob's session key now belongs to Alice, who reads the topic too."""
    Session.objects.filter(user=cast.bob.user).update(user=cast.alice.user)


def leave_and_end_session(cast: Cast) -> None:
    end_session(cast)
    save_group(cast.payroll, [cast.alice])


OUTCOMES: dict[str, tuple[Callable[[Cast], object], CloseReason | type[Update]]] = {
    "nothing": (lambda cast: None, Update),
    "left": (lambda cast: save_group(cast.payroll, [cast.alice]), CloseReason.NO_ACCESS),
    "expired": (end_session, CloseReason.SIGNED_OUT),
    "somebody else's": (swap_sessions, CloseReason.SIGNED_OUT),
    "both": (leave_and_end_session, CloseReason.SIGNED_OUT),
    "row without a user": (
        lambda cast: Session.objects.filter(user=cast.bob.user).update(user=None),
        CloseReason.SIGNED_OUT,
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", OUTCOMES)
def test_each_stream_gets_an_update_or_the_reason_to_close_it(cast: Cast, way: str) -> None:
    change, outcome = OUTCOMES[way]
    post(cast.payments, cast.alice)
    batch = stream_requests(cast.payments, cast.alice, cast.bob)
    change(cast)
    ((alices, bobs),) = collected(batch)
    assert isinstance(alices, Update)
    assert isinstance(bobs, Update) if outcome is Update else bobs is outcome


@pytest.mark.django_db(transaction=True)
def test_a_session_whose_row_has_no_user_has_access_until_it_expires(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    Session.objects.all().delete()
    ((bob, since),) = stream_requests(cast.payments, cast.bob)
    Session.objects.update(user=None)
    bob = replace(bob, password=None)
    assert isinstance(collected([(bob, since)])[0][0], Update)
    Session.objects.all().delete()
    assert collected([(bob, since)]) == [[CloseReason.SIGNED_OUT]]


# -- Sending -----------------------------------------------------------------------------------------------------------


class Server:
    """Accepts what is sent at once, or, if slow, when the test allows it."""

    def __init__(self, slow: bool = False) -> None:
        self.received: list[bytes] = []
        self.may_continue = asyncio.Event()
        if not slow:
            self.may_continue.set()

    async def send(self, message: dict[str, Any]) -> None:
        if not self.may_continue.is_set():
            await self.may_continue.wait()
        self.received.append(message["body"])


async def open_stream(server: Server) -> tuple[Subscription, asyncio.Task[None]]:
    subscription = Subscription(CONTEXT, 0)
    relaying = asyncio.create_task(subscription.relay(server.send))
    await asyncio.sleep(0)
    return subscription, relaying


def test_what_the_server_accepts_at_once_is_sent_without_a_turn_of_the_event_loop() -> None:
    async def scenario() -> None:
        server = Server()
        subscription, relaying = await open_stream(server)
        subscription.send(1, b"first")
        subscription.send(2, b"second")
        subscription.send(2, b"again")
        assert server.received == [b"first", b"second"]
        subscription.revoke()
        subscription.revoke()
        subscription.send(3, b"late")
        assert server.received[2:] == [GONE]
        await relaying

    run(scenario())


def test_a_slow_stream_receives_the_newest_event_and_finally_that_the_topic_is_gone() -> None:
    async def scenario() -> None:
        server = Server(slow=True)
        subscription, relaying = await open_stream(server)
        for revision, event in enumerate((b"first", b"second", b"third"), start=1):
            subscription.send(revision, event)
        assert (server.received, subscription.revision) == ([], 1), "the revision that is being sent"
        server.may_continue.set()
        while len(server.received) < 2:
            await asyncio.sleep(0)
        assert server.received == [b"first", b"third"]
        server.may_continue.clear()
        subscription.send(4, b"fourth")
        subscription.revoke()
        await asyncio.sleep(0.01)
        assert not relaying.done(), "it first sends what it has begun"
        server.may_continue.set()
        await relaying
        assert server.received[2:] == [b"fourth", GONE]

    run(scenario())


def test_an_event_before_the_response_has_begun_waits_for_it() -> None:
    async def scenario() -> None:
        server, subscription = Server(), Subscription(CONTEXT, 0)
        subscription.send(1, b"first")
        subscription.send(2, b"second")
        relaying = asyncio.create_task(subscription.relay(server.send))
        await asyncio.sleep(0)
        assert server.received == [b"second"]
        subscription.end()
        await relaying

    run(scenario())


@pytest.mark.parametrize("slow", [False, True])
def test_an_error_ends_one_stream_only(slow: bool) -> None:
    async def scenario() -> None:
        async def broken(_message: dict[str, Any]) -> None:
            if slow:
                await asyncio.sleep(0)
            raise OSError("gone")

        server = Server()
        other, relaying_other = await open_stream(server)
        subscription = Subscription(CONTEXT, 0)
        relaying = asyncio.create_task(subscription.relay(broken))
        await asyncio.sleep(0)
        for each in (subscription, other):
            each.send(1, b"first")
        with pytest.raises(OSError, match="gone"):
            await relaying
        assert subscription.is_over
        assert server.received == [b"first"]
        other.end()
        await relaying_other

    run(scenario())


def test_a_stream_that_closes_while_sending_leaves_no_task_behind() -> None:
    async def scenario() -> None:
        before = asyncio.all_tasks()
        subscription, relaying = await open_stream(Server(slow=True))
        subscription.send(1, b"first")
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks() - before) == 2, "or the test proves nothing"
        relaying.cancel()
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == before

    run(scenario())


def test_the_garbage_collector_skips_what_was_loaded_at_start() -> None:
    assert asgi.__name__ in sys.modules
    assert gc.get_freeze_count() > 10_000
