"""The live stream as a bare ASGI application in this process, with a real PostgreSQL and a real Valkey."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
from django.db import connection, transaction
from django.utils import timezone
from django.utils.html import escape
from redis import Redis

from accounts.models import Session, User
from ippex_messenger.asgi import application
from messenger import events
from messenger.groups.services import save_group
from messenger.live import hub, subscription
from messenger.live import stream as live_stream
from messenger.live.updates import StreamContext
from messenger.messages.editing import edit_message, remove_message
from messenger.models import MessengerGroup, Topic
from messenger.notifications.preferences.services import set_muted
from messenger.threads.pages import PAGE_LENGTH
from tenancy.members import set_messenger_enabled
from tenancy.models import Member
from tests.support.cast import Cast, make_member, make_topic, post, sign_in
from tests.support.faults import redis_away

pytestmark = pytest.mark.django_db(transaction=True)

TIMEOUT_SECONDS = 5  # the product promises to end a stream within this time; everything else is faster
T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Run what uses the database in a thread, not in the event loop; its connection is closed afterwards."""

    def work_and_close() -> T:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(None, work_and_close)


class Stream:
    """A client of one stream: opens it, records what is sent, and can disconnect."""

    def __init__(self, path: str, query: str = "", cookie: str = "", method: str = "GET", **headers: str) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.text = ""
        self.is_over = False
        self._received = asyncio.Condition()
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie:
            sent["cookie"] = cookie
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode("utf-8", "surrogatepass"),
            "root_path": "",
            "headers": [(b"host", b"localhost"), *[(k.encode(), v.encode("latin-1")) for k, v in sent.items()]],
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
        }

    async def __aenter__(self) -> "Stream":
        self._task = asyncio.create_task(self._run())
        await self.until(lambda: self.status is not None)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._inbox.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(self._task, TIMEOUT_SECONDS)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self._received:
            await asyncio.wait_for(self._received.wait_for(condition), TIMEOUT_SECONDS)

    async def until_revision(self, revision: int) -> None:
        await self.until(lambda: revision in self.revisions)

    @property
    def revisions(self) -> list[int]:
        return [update["revision"] for update in self.updates]

    @property
    def updates(self) -> list[dict[str, Any]]:
        return [json.loads(data) for event, data in self.events if event == "changed"]

    @property
    def events(self) -> list[tuple[str, str]]:
        found = []
        for block in self.text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and line[0] != ":")
            if "event" in fields:
                found.append((fields["event"], fields["data"]))
        return found

    async def _run(self) -> None:
        await application(self._scope, self._inbox.get, self._take)
        async with self._received:
            self.is_over = True
            self._received.notify_all()

    async def _take(self, message: dict[str, Any]) -> None:
        async with self._received:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            else:
                self.text += message.get("body", b"").decode()
            self._received.notify_all()


def cookie_of(member: Member) -> str:
    return f"sessionid={sign_in(member).cookies['sessionid'].value}"


def stream_of_topic(topic: Topic, cookie: str = "", **headers: str) -> Stream:
    return Stream("/northwind/messenger/stream/", f"topic={topic.pk}", cookie, **headers)


def subscriptions(settings: Any) -> int:
    with Redis.from_url(settings.REDIS_URL) as redis:
        return int(redis.pubsub_numsub(events.CHANNEL)[0][1])


async def subscribed(settings: Any) -> None:
    """Wait until the process has subscribed to Redis; the page itself fetches what is announced before."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while await in_thread(lambda: subscriptions(settings)) == 0:
            await asyncio.sleep(0.01)


def run(scenario: Awaitable[None]) -> None:
    """Run a scenario. Tasks that do not end are left behind, so that a test cannot wait for ever."""

    async def within() -> None:
        await asyncio.wait_for(scenario, 8 * TIMEOUT_SECONDS)

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(within())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=TIMEOUT_SECONDS))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


# -- Events ---------------------------------------------------------------------------------------------


def test_a_stream_sends_its_first_bytes_at_once(cast: Cast) -> None:
    cookie = cookie_of(cast.bob)

    async def scenario() -> None:
        async with stream_of_topic(cast.payments, cookie) as stream:
            await stream.until(lambda: bool(stream.text))
            assert stream.status == 200
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert stream.headers["cache-control"] == "no-store"
            assert stream.headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in stream.headers["content-security-policy"]
            assert stream.events == [], "nothing has happened yet"
            assert not stream.is_over

    run(scenario())


def test_an_event_contains_the_new_message_and_the_forecast_for_the_next_one(cast: Cast, settings: Any) -> None:
    cookie = cookie_of(cast.bob)

    async def scenario() -> None:
        async with stream_of_topic(cast.payments, cookie) as stream:
            await subscribed(settings)
            for number in (1, 2):
                await in_thread(lambda number=number: post(cast.payments, cast.alice, f"Canary {number}"))  # type: ignore[misc]
                await stream.until_revision(number)
            first, second = stream.updates
            assert (first["since"], second["since"]) == (0, 1)
            assert ("Canary 1" in first["html"], "Canary 2" in first["html"]) == (True, False)
            assert ("Canary 1" in second["html"], "Canary 2" in second["html"]) == (False, True)
            assert "No e-mail if you send now" in second["forecast"]["now"]
            assert "id: 2\n" in stream.text

    run(scenario())


def requested_changes(reader: Member, topic: Topic, since: int) -> tuple[str, str]:
    """The rows and the forecast, both HTML, that a page gets if it requests the changes."""
    url = f"/{reader.tenancy.slug}/messenger/topics/{topic.pk}/messages/?since={since}&from=0"
    rows, _, rest = sign_in(reader).get(url).content.decode().partition("<template")
    return rows.strip(), rest.partition(">")[2].partition("</template>")[0]


def test_each_reader_receives_what_a_request_for_the_changes_returns(cast: Cast, settings: Any) -> None:
    """In their time zone and language, with their own messages and mentions marked, and their own forecast."""
    carol, dave = make_member(cast.northwind, "Carol Cox"), make_member(cast.northwind, "Dave Dunn")
    save_group(cast.payroll, [cast.alice, cast.bob, carol, dave])
    User.objects.filter(pk=cast.bob.user_id).update(language="en-gb", time_zone="Asia/Tokyo")
    User.objects.filter(pk=carol.user_id).update(time_zone="America/New_York")
    set_muted(cast.payments, carol, muted=True)
    readers = [cast.alice, cast.bob, carol, dave]
    cookies = [cookie_of(reader) for reader in readers]
    start = Topic.objects.get(pk=cast.payments.pk).revision

    async def scenario() -> None:
        streams = [stream_of_topic(cast.payments, cookie) for cookie in cookies]
        await open_all(streams)
        await subscribed(settings)
        message = await in_thread(lambda: post(cast.payments, cast.alice, "First, @Bob Brandt."))
        for reader, stream in zip(readers, streams, strict=True):
            await stream.until(lambda stream=stream: bool(stream.updates))  # type: ignore[misc]
            rows, forecast = await in_thread(lambda reader=reader: requested_changes(reader, cast.payments, start))  # type: ignore[misc]
            assert rows, "or the test proves nothing"
            assert stream.updates[-1]["html"] == rows
            for words in ("now", "then"):
                assert escape(stream.updates[-1]["forecast"][words]) in forecast
        html = [stream.updates[-1]["html"] for stream in streams]
        assert len(set(html)) == 4
        assert ["message-own" in rows for rows in html] == [True, False, False, False]
        assert ["mention-own" in rows for rows in html] == [False, True, False, False]
        assert ["Asia/Tokyo" in rows for rows in html] == [False, True, False, False]
        forecasts = {stream.updates[-1]["forecast"]["then"] for stream in (streams[2], streams[3])}
        assert len(forecasts) == 2, (
            "Carol muted the topic, so a message of hers would be e-mailed to another number of people"
        )
        counts = [len(stream.updates) for stream in streams]
        await in_thread(lambda: edit_message(cast.payments.pk, message.sequence, cast.alice, "Second."))
        for count, stream in zip(counts, streams, strict=True):
            await stream.until(lambda stream=stream, count=count: len(stream.updates) > count)  # type: ignore[misc]
            assert "Second." in stream.updates[-1]["html"]
            assert "message-edited" in stream.updates[-1]["html"]
        await in_thread(lambda: remove_message(cast.payments.pk, message.sequence, cast.alice, ""))
        for count, stream in zip(counts, streams, strict=True):
            await stream.until(lambda stream=stream, count=count: len(stream.updates) > count + 1)  # type: ignore[misc]
            assert "message-removed" in stream.updates[-1]["html"]
            assert "Second." not in stream.updates[-1]["html"]
        await close_all(streams)

    run(scenario())


@pytest.mark.parametrize(("missed", "is_included"), [(PAGE_LENGTH, True), (PAGE_LENGTH + 1, False)])
def test_an_event_for_more_than_a_page_of_messages_has_the_revision_only(
    cast: Cast, missed: int, is_included: bool
) -> None:
    cookie = cookie_of(cast.bob)
    for number in range(missed):
        post(cast.payments, cast.alice, f"Canary {number}")

    async def scenario() -> None:
        async with stream_of_topic(cast.payments, cookie, last_event_id="0") as stream:
            await stream.until_revision(missed)
            (update,) = stream.updates
            if is_included:
                assert update["since"] == 0
                assert update["html"].count("data-sequence") == missed
            else:
                assert update == {"revision": missed}

    run(scenario())


def test_a_stream_receives_nothing_from_other_topics(cast: Cast, settings: Any) -> None:
    cookie = cookie_of(cast.bob)
    others = [(make_topic(cast.payroll, "Overtime"), cast.alice), (cast.pensions, cast.mallory)]

    async def scenario() -> None:
        async with stream_of_topic(cast.payments, cookie) as stream:
            await subscribed(settings)
            await in_thread(lambda: [post(topic, author, "Canary") for topic, author in others])
            await in_thread(lambda: post(cast.payments, cast.alice))
            await stream.until_revision(1)
            assert len(stream.events) == 1
            assert "Canary" not in stream.text

    run(scenario())


@pytest.mark.parametrize(
    ("last_seen", "received"), [("1", [2]), ("0", [2]), ("2", []), ("3", []), ("", []), ("x", []), ("²", [])]
)
def test_a_stream_that_reconnects_receives_at_once_what_it_missed(
    cast: Cast, last_seen: str, received: list[int]
) -> None:
    cookie = cookie_of(cast.bob)
    for _ in range(2):
        post(cast.payments, cast.alice)

    async def scenario() -> None:
        async with stream_of_topic(cast.payments, cookie, last_event_id=last_seen) as stream:
            await stream.until(lambda: bool(stream.text) and (not received or stream.revisions == received))
            await asyncio.sleep(0.05)
            assert stream.revisions == received
            for update in stream.updates:
                assert update["since"] == int(last_seen)
                assert update["html"].count("data-sequence") == 2 - int(last_seen)

    run(scenario())


def test_a_message_posted_before_redis_has_subscribed_still_reaches_the_stream(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis answers late, so the announcement is lost: the next check of access finds the message."""
    cookie = cookie_of(cast.bob)
    subscribe = hub.Hub._read_channel

    @wraps(subscribe)
    async def subscribe_late(self: hub.Hub) -> None:
        await asyncio.sleep(0.3)
        await subscribe(self)

    monkeypatch.setattr(hub.Hub, "_read_channel", subscribe_late)

    async def scenario() -> None:
        async with stream_of_topic(cast.payments, cookie) as stream:
            await stream.until(lambda: bool(stream.text))
            await in_thread(lambda: post(cast.payments, cast.alice))
            assert await in_thread(lambda: subscriptions(settings)) == 0, "or the test proves nothing"
            await stream.until_revision(1)

    run(scenario())


# -- Access ----------------------------------------------------------------------------------------------


async def refusal(stream: Stream) -> tuple[int | None, str, dict[str, str]]:
    async with stream:
        await stream.until(lambda: stream.is_over)
    return stream.status, stream.text, stream.headers


def test_members_without_access_get_the_same_404_as_for_a_topic_that_does_not_exist(cast: Cast) -> None:
    outsiders = [cast.charlie, cast.dana, cast.mallory, cast.erin]
    cookies = ["", "sessionid=nonsense", *map(cookie_of, outsiders)]
    bob = cookie_of(cast.bob)

    async def scenario() -> None:
        missing = await refusal(Stream("/northwind/messenger/stream/", f"topic={10**15}", bob))
        assert missing[:2] == (404, "")
        for cookie in cookies:
            assert await refusal(stream_of_topic(cast.payments, cookie)) == missing
        for topic in (cast.pensions, cast.secrets):
            assert await refusal(stream_of_topic(topic, bob)) == missing
        for slug in ("aurora", "atlantis"):
            assert await refusal(Stream(f"/{slug}/messenger/stream/", f"topic={cast.payments.pk}", bob)) == missing
        async with stream_of_topic(cast.payments, bob) as stream:
            assert stream.status == 200, "or the test proves nothing"

    run(scenario())


def change_password(member: Member) -> None:
    member.user.set_password("another horse battery")
    member.user.save()


SIGNING_OUT: dict[str, Callable[[Cast], object]] = {
    "signed out": lambda cast: Session.objects.filter(user=cast.bob.user).delete(),
    "session over": lambda cast: Session.objects.filter(user=cast.bob.user).update(expire_date=timezone.now()),
    "password changed": lambda cast: change_password(cast.bob),
}


def stream_of_list(cookie: str) -> Stream:
    return Stream("/northwind/messenger/stream/", "", cookie)


def test_a_topic_list_receives_changes_of_its_own_topics_only(cast: Cast, settings: Any) -> None:
    bob, mallory = cookie_of(cast.bob), cookie_of(cast.mallory)

    async def scenario() -> None:
        async with stream_of_list(bob) as bobs, stream_of_list(mallory) as mallorys:
            assert (bobs.status, mallorys.status) == (200, 200)
            await subscribed(settings)
            await in_thread(lambda: post(cast.payments, cast.alice))
            await bobs.until_revision(1)
            await in_thread(lambda: post(cast.pensions, cast.mallory))
            await mallorys.until_revision(1)
            assert bobs.revisions == [1], "nothing about Mallory's topic"
            assert mallorys.revisions == [1], "nothing about Bob's topic"
            assert [*bobs.updates, *mallorys.updates] == [{"revision": 1}] * 2, "without the message"

    run(scenario())


def test_the_stream_of_a_topic_list_ends_when_its_member_leaves_their_last_group(cast: Cast) -> None:
    bob = cookie_of(cast.bob)

    async def scenario() -> None:
        async with stream_of_list(bob) as bobs:
            await in_thread(lambda: save_group(cast.payroll, [cast.alice]))
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == [("gone", "{}")]

    run(scenario())


@pytest.mark.parametrize("way", SIGNING_OUT)
def test_the_stream_of_a_topic_list_ends_when_its_user_is_signed_out(
    cast: Cast, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 0.2)
    alice, bob = cookie_of(cast.alice), cookie_of(cast.bob)

    async def scenario() -> None:
        async with stream_of_list(alice) as alices, stream_of_list(bob) as bobs:
            await in_thread(lambda: SIGNING_OUT[way](cast))
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == [], "the page requests it again, and learns that its user is signed out"
            assert not alices.is_over

    run(scenario())


@pytest.mark.parametrize("topic", ["", "topic=TOPIC&"])
def test_the_stream_of_a_page_that_was_made_for_another_member_is_refused(cast: Cast, topic: str) -> None:
    """A tab that stays open while somebody else signs in at the same browser."""
    post(cast.payments, cast.alice, "Canary")
    query = topic.replace("TOPIC", str(cast.payments.pk))
    bob, erin = cookie_of(cast.bob), cookie_of(cast.erin)

    def asked(cookie: str, owner: object, slug: str = "northwind") -> Stream:
        return Stream(f"/{slug}/messenger/stream/", f"{query}made_for={owner}", cookie, last_event_id="0")

    async def scenario() -> None:
        for owner in (cast.alice.pk, cast.erin.pk, 10**30, "x", "", f"{cast.bob.pk}&made_for={cast.alice.pk}"):
            assert (await refusal(asked(bob, owner)))[:2] == (409, ""), owner
        assert (await refusal(asked(erin, cast.bob.pk)))[:2] == (409, ""), "also by a member of another tenancy"
        assert (await refusal(asked(erin, cast.erin.pk)))[:2] == (404, ""), "her own page, but not of this tenancy"
        assert (await refusal(asked("", cast.bob.pk)))[:2] == (404, ""), "signed out"
        async with asked(bob, cast.bob.pk) as stream:
            assert stream.status == 200

    run(scenario())


def test_members_without_messenger_get_no_stream_of_the_topic_list(cast: Cast) -> None:
    cookies = [cookie_of(member) for member in (cast.charlie, cast.dana, cast.erin)]

    async def scenario() -> None:
        for cookie in (*cookies, ""):
            assert (await refusal(stream_of_list(cookie)))[0] == 404

    run(scenario())


MALFORMED = [
    "topic=",
    "topic=x",
    "topic=-1",
    "topic=0",
    "topic=1.5",
    "topic=" + "9" * 26,
    "topic=%00",
    "topic=²",
    "topic=%C2%B2",
    "topic=" + "1" * 5000,
    "x=1",
    "topic[]=1",
    "%",
    "&&&=",
    "topic=1%0a",
    "topic=\ud800",
    "topic=1&x=\ud800",
]


@pytest.mark.parametrize("query", MALFORMED)
def test_a_malformed_query_is_a_404(cast: Cast, query: str) -> None:
    cookie = cookie_of(cast.bob)

    async def scenario() -> None:
        assert (await refusal(Stream("/northwind/messenger/stream/", query, cookie)))[0] in (400, 404)

    run(scenario())


@pytest.mark.parametrize(
    "cookie",
    [
        'sessionid="\\000\\000\\000\\000\\000\\000\\000\\000"',
        "sessionid=",
        "\xff",
        "sessionid=" + "x" * 5000,
        "=;=",
        "sessionid=é",
    ],
)
def test_a_strange_cookie_is_a_404(cast: Cast, cookie: str) -> None:
    async def scenario() -> None:
        assert (await refusal(stream_of_topic(cast.payments, cookie)))[0] in (400, 404)

    run(scenario())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_no_other_method_opens_a_stream(cast: Cast, method: str) -> None:
    cookie = cookie_of(cast.bob)

    async def scenario() -> None:
        stream = Stream("/northwind/messenger/stream/", f"topic={cast.payments.pk}", cookie, method)
        assert (await refusal(stream))[0] in (404, 405)

    run(scenario())


LOSING_ACCESS: dict[str, Callable[[Cast], object]] = {
    "left the group": lambda cast: save_group(cast.payroll, [cast.alice]),
    "member deactivated": lambda cast: Member.objects.filter(pk=cast.bob.pk).update(is_active=False),
    "person deactivated": lambda cast: type(cast.bob.user).objects.filter(pk=cast.bob.user_id).update(is_active=False),
    "topic inactive": lambda cast: Topic.objects.filter(pk=cast.payments.pk).update(is_active=False),
    "group inactive": lambda cast: MessengerGroup.objects.filter(pk=cast.payroll.pk).update(is_active=False),
    "messenger off": lambda cast: set_messenger_enabled(cast.northwind, False),
}


@pytest.mark.parametrize("way", LOSING_ACCESS)
def test_a_member_who_lost_access_can_open_no_stream(cast: Cast, way: str) -> None:
    cookie = cookie_of(cast.bob)

    async def scenario() -> None:
        async with stream_of_topic(cast.payments, cookie) as stream:
            assert stream.status == 200, "or the test proves nothing"
        await in_thread(lambda: LOSING_ACCESS[way](cast))
        assert (await refusal(stream_of_topic(cast.payments, cookie)))[0] == 404

    run(scenario())


@pytest.mark.parametrize("way", LOSING_ACCESS)
def test_a_stream_ends_when_its_reader_loses_access(cast: Cast, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.CHECK_ACCESS_SECONDS < TIMEOUT_SECONDS - 1, "the interval in production is short enough"
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 0.2)
    cookies = {name: cookie_of(getattr(cast, name)) for name in ("alice", "bob")}

    async def scenario() -> None:
        async with (
            stream_of_topic(cast.payments, cookies["bob"]) as bobs,
            stream_of_topic(cast.payments, cookies["alice"]) as alices,
        ):
            await asyncio.sleep(0.5)
            assert not bobs.is_over, "as long as he has access"
            await in_thread(lambda: LOSING_ACCESS[way](cast))
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == [("gone", "{}")]
            if "left" in way or "deactivated" in way:
                assert not alices.is_over, "other streams stay open"

    run(scenario())


def test_a_member_who_left_does_not_receive_the_next_message(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 60)
    cookies = {name: cookie_of(getattr(cast, name)) for name in ("alice", "bob")}

    async def scenario() -> None:
        async with (
            stream_of_topic(cast.payments, cookies["bob"]) as bobs,
            stream_of_topic(cast.payments, cookies["alice"]) as alices,
        ):
            await subscribed(settings)
            await in_thread(lambda: save_group(cast.payroll, [cast.alice]))
            await in_thread(lambda: post(cast.payments, cast.alice))
            await alices.until_revision(2)  # the first revision: fewer people would be e-mailed
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == [("gone", "{}")]

    run(scenario())


@pytest.mark.parametrize("way", LOSING_ACCESS)
def test_a_member_who_loses_access_with_a_post_does_not_receive_it(
    cast: Cast, way: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 60)
    cookies = {name: cookie_of(getattr(cast, name)) for name in ("alice", "bob")}

    @transaction.atomic
    def post_and_lose_access() -> None:
        post(cast.payments, cast.alice, "Confidential-canary")
        LOSING_ACCESS[way](cast)

    async def scenario() -> None:
        async with (
            stream_of_topic(cast.payments, cookies["bob"]) as bobs,
            stream_of_topic(cast.payments, cookies["alice"]) as alices,
        ):
            await subscribed(settings)
            await in_thread(post_and_lose_access)
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == [("gone", "{}")]
            if "left" in way or "deactivated" in way:
                await alices.until(lambda: "Confidential-canary" in alices.text)
            else:
                await alices.until(lambda: alices.is_over)
                assert "Confidential-canary" not in alices.text

    run(scenario())


@pytest.mark.parametrize("way", SIGNING_OUT)
def test_a_signed_out_user_receives_neither_messages_nor_the_event_gone(
    cast: Cast, way: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 60)
    cookies = {name: cookie_of(getattr(cast, name)) for name in ("alice", "bob")}

    async def scenario() -> None:
        async with (
            stream_of_topic(cast.payments, cookies["bob"]) as bobs,
            stream_of_topic(cast.payments, cookies["alice"]) as alices,
        ):
            await subscribed(settings)
            await in_thread(lambda: SIGNING_OUT[way](cast))
            await in_thread(lambda: post(cast.payments, cast.alice, "Confidential-canary"))
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == []
            await alices.until(lambda: "Confidential-canary" in alices.text)
            assert (await refusal(stream_of_topic(cast.payments, cookies["bob"])))[0] == 404

    run(scenario())


def test_a_stream_ends_by_itself_and_can_be_opened_again(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    assert live_stream.STREAM_SECONDS <= 5 * 60
    monkeypatch.setattr(live_stream, "STREAM_SECONDS", 0.3)
    monkeypatch.setattr(live_stream, "KEEP_ALIVE_SECONDS", 0.1)
    cookie = cookie_of(cast.bob)

    async def scenario() -> None:
        for _ in range(2):
            async with stream_of_topic(cast.payments, cookie) as stream:
                await stream.until(lambda: stream.is_over)
                assert stream.status == 200
                assert stream.events == []
                assert ": still here" in stream.text

    run(scenario())


# -- Costs ----------------------------------------------------------------------------------------------

READERS = 20


def backends() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return {pid for (pid,) in cursor.fetchall()}


async def open_all(streams: list[Stream]) -> None:
    for stream in streams:
        await stream.__aenter__()


async def close_all(streams: list[Stream]) -> None:
    for stream in streams:
        await stream.__aexit__()


def test_idle_streams_hold_no_database_connection(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 60)
    cookie = cookie_of(cast.bob)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        before = backends() | {cursor.fetchone()[0]}

    async def scenario() -> None:
        streams = [stream_of_topic(cast.payments, cookie) for _ in range(READERS)]
        await open_all(streams)
        assert all(stream.status == 200 for stream in streams), "or the test proves nothing"
        async with asyncio.timeout(TIMEOUT_SECONDS):  # a closed connection takes a moment to disappear
            while await in_thread(backends) - before:
                await asyncio.sleep(0.02)
        await close_all(streams)

    run(scenario())


def test_all_streams_of_a_process_share_one_redis_subscription(cast: Cast, settings: Any) -> None:
    cookies = {name: cookie_of(getattr(cast, name)) for name in ("alice", "bob")}
    overtime = make_topic(cast.payroll, "Overtime")

    async def scenario() -> None:
        streams = [
            stream_of_topic(topic, cookies[name])
            for topic in (cast.payments, overtime)
            for name in cookies
            for _ in range(READERS // 4)
        ]
        await open_all(streams)
        await subscribed(settings)
        assert await in_thread(lambda: subscriptions(settings)) == 1
        await in_thread(lambda: [post(cast.payments, cast.alice), post(overtime, cast.alice)])
        for stream in streams:
            await stream.until_revision(1)
        await close_all(streams)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while await in_thread(lambda: subscriptions(settings)):
                await asyncio.sleep(0.02)

    run(scenario())


CONTEXT = StreamContext(session_key="", password=None, member_id=1, topic_id=1, language="en", time_zone="UTC", slug="")


def test_no_task_or_subscription_remains_after_the_last_stream(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the stream ends while the process is still subscribing to Redis, and another one follows."""
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 0.2)
    monkeypatch.setattr(hub, "READ_SECONDS", 0.2)

    async def scenario() -> None:
        tested, before = hub.Hub(events.CHANNEL), asyncio.all_tasks()
        tasks: set[asyncio.Task[None]] = set()
        for attempt in range(80):
            stream = subscription.Subscription(CONTEXT, 0)
            tested.join(stream)
            await asyncio.sleep(attempt / 10_000)
            tasks |= set(tested._tasks.values())
            assert len([task for task in tasks if not task.done()]) <= 2, (
                "one that reads from Redis and one that checks access"
            )
            tested.leave(stream)
        assert tasks, "or the test proves nothing"
        await asyncio.wait(tasks, timeout=TIMEOUT_SECONDS)
        assert asyncio.all_tasks() == before
        assert await in_thread(lambda: subscriptions(settings)) == 0

    run(scenario())


# -- Without Redis --------------------------------------------------------------------------------------


def test_without_redis_a_stream_opens_and_ends_with_access(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 0.2)
    cookie = cookie_of(cast.bob)
    post(cast.payments, cast.alice)

    async def scenario() -> None:
        async with stream_of_topic(cast.payments, cookie, last_event_id="0") as stream:
            await stream.until_revision(1)
            await in_thread(lambda: post(cast.payments, cast.alice))
            assert not stream.is_over
            await in_thread(lambda: save_group(cast.payroll, [cast.alice]))
            await stream.until(lambda: stream.is_over)
            assert stream.events[-1] == ("gone", "{}")

    with redis_away(settings):
        run(scenario())


def test_an_open_stream_receives_events_again_when_redis_is_back(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "RECONNECT_SECONDS", 0.1)
    cookie = cookie_of(cast.bob)

    async def scenario() -> None:
        with redis_away(settings):
            stream = stream_of_topic(cast.payments, cookie)
            await stream.__aenter__()
            await asyncio.sleep(0.2)
        settings.REDIS_URL = redis_url
        await subscribed(settings)
        await in_thread(lambda: post(cast.payments, cast.alice))
        await stream.until_revision(1)
        await stream.__aexit__()

    redis_url = settings.REDIS_URL
    run(scenario())


def test_invalid_announcements_break_no_stream(cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "RECONNECT_SECONDS", 0.1)
    cookie = cookie_of(cast.bob)

    def announce(junk: str) -> None:
        with Redis.from_url(settings.REDIS_URL) as redis:
            redis.publish(events.CHANNEL, junk)

    async def scenario() -> None:
        async with stream_of_topic(cast.payments, cookie) as stream:
            await subscribed(settings)
            for junk in ("", "x", "{}", "[]", '{"topic": "x", "revision": 1}', "\0", '{"topic": 1e999, "revision": 1}'):
                await in_thread(lambda junk=junk: announce(junk))  # type: ignore[misc]
            await asyncio.sleep(0.5)
            await subscribed(settings)
            await in_thread(lambda: post(cast.payments, cast.alice))
            await stream.until_revision(1)

    run(scenario())


def test_similar_paths_are_pages_and_not_streams(cast: Cast) -> None:
    cookie = cookie_of(cast.bob)

    async def scenario() -> None:
        for path in (
            "/northwind/messenger/stream",
            "/northwind/messenger/stream/x/",
            "/North/messenger/stream/",
            quote("/é/messenger/stream/"),
        ):
            assert (await refusal(Stream(path, f"topic={cast.payments.pk}", cookie)))[0] in (301, 404)

    run(scenario())
