"""The live stream, as a bare ASGI application in this process: real PostgreSQL, real Valkey."""

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

PATIENCE = 5  # seconds: what the product promises for the end of a stream; all else is faster
T = TypeVar("T")


async def elsewhere(work: Callable[[], T]) -> T:
    """What touches the database, off the event loop; its connection is closed."""

    def work_and_close() -> T:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(None, work_and_close)


class Stream:
    """A reader of one stream: asks, keeps what is sent, and can leave."""

    def __init__(self, path: str, query: str = "", cookie: str = "", method: str = "GET", **headers: str) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.text = ""
        self.is_over = False
        self._news = asyncio.Condition()
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
        await asyncio.wait_for(self._task, PATIENCE)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(condition), PATIENCE)

    async def revision(self, wanted: int) -> None:
        """Wait for the event that tells of this revision."""
        await self.until(lambda: wanted in self.revisions)

    @property
    def revisions(self) -> list[int]:
        return [news["revision"] for news in self.news]

    @property
    def news(self) -> list[dict[str, Any]]:
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
        async with self._news:
            self.is_over = True
            self._news.notify_all()

    async def _take(self, message: dict[str, Any]) -> None:
        async with self._news:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            else:
                self.text += message.get("body", b"").decode()
            self._news.notify_all()


def cookie_of(member: Member) -> str:
    return f"sessionid={sign_in(member).cookies['sessionid'].value}"


def streams_of(topic: Topic, cookie: str = "", **headers: str) -> Stream:
    return Stream("/northwind/messenger/stream/", f"topic={topic.pk}", cookie, **headers)


def subscriptions(settings: Any) -> int:
    with Redis.from_url(settings.REDIS_URL) as redis:
        return int(redis.pubsub_numsub(events.CHANNEL)[0][1])


async def subscribed(settings: Any) -> None:
    """Wait until the process listens to Redis; what is announced before is for the page to fetch."""
    async with asyncio.timeout(PATIENCE):
        while await elsewhere(lambda: subscriptions(settings)) == 0:
            await asyncio.sleep(0.01)


def play(scene: Awaitable[None]) -> None:
    """Run a scene; tasks that will not end are left behind rather than waited for for ever."""

    async def within() -> None:
        await asyncio.wait_for(scene, 8 * PATIENCE)

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(within())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=PATIENCE))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


# -- What a stream says ----------------------------------------------------------------------------------


def test_a_stream_answers_with_its_first_bytes_at_once(cast: Cast) -> None:
    cookie = cookie_of(cast.bob)

    async def scene() -> None:
        async with streams_of(cast.payments, cookie) as stream:
            await stream.until(lambda: bool(stream.text))
            assert stream.status == 200
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert stream.headers["cache-control"] == "no-store"
            assert stream.headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in stream.headers["content-security-policy"]
            assert stream.events == [], "nothing happened yet"
            assert not stream.is_over

    play(scene())


def test_a_post_is_told_with_what_it_says_and_what_the_next_one_would_do(cast: Cast, settings: Any) -> None:
    cookie = cookie_of(cast.bob)

    async def scene() -> None:
        async with streams_of(cast.payments, cookie) as stream:
            await subscribed(settings)
            for number in (1, 2):
                await elsewhere(lambda number=number: post(cast.payments, cast.alice, f"Canary {number}"))  # type: ignore[misc]
                await stream.revision(number)
            first, second = stream.news
            assert (first["since"], second["since"]) == (0, 1)
            assert ("Canary 1" in first["html"], "Canary 2" in first["html"]) == (True, False)
            assert ("Canary 1" in second["html"], "Canary 2" in second["html"]) == (False, True)
            assert "No e-mail if you send now" in second["forecast"]["now"]
            assert "id: 2\n" in stream.text

    play(scene())


def asked_for(reader: Member, topic: Topic, since: int) -> tuple[str, str]:
    """Rows and, as HTML, the forecast, as the page gets them that asks."""
    url = f"/{reader.tenancy.slug}/messenger/topics/{topic.pk}/messages/?since={since}&from=0"
    rows, _, rest = sign_in(reader).get(url).content.decode().partition("<template")
    return rows.strip(), rest.partition(">")[2].partition("</template>")[0]


def test_each_reader_is_told_what_they_would_have_been_answered(cast: Cast, settings: Any) -> None:
    """In their zone and language, with their own rows and mentions marked, and their own choices in the forecast."""
    carol, dave = make_member(cast.northwind, "Carol Cox"), make_member(cast.northwind, "Dave Dunn")
    save_group(cast.payroll, [cast.alice, cast.bob, carol, dave])
    User.objects.filter(pk=cast.bob.user_id).update(language="en-gb", time_zone="Asia/Tokyo")
    User.objects.filter(pk=carol.user_id).update(time_zone="America/New_York")
    set_muted(cast.payments, carol, muted=True)
    readers = [cast.alice, cast.bob, carol, dave]
    cookies = [cookie_of(reader) for reader in readers]
    start = Topic.objects.get(pk=cast.payments.pk).revision

    async def scene() -> None:
        streams = [streams_of(cast.payments, cookie) for cookie in cookies]
        await open_all(streams)
        await subscribed(settings)
        message = await elsewhere(lambda: post(cast.payments, cast.alice, "First, @Bob Brandt."))
        for reader, stream in zip(readers, streams, strict=True):
            await stream.until(lambda stream=stream: bool(stream.news))  # type: ignore[misc]
            rows, forecast = await elsewhere(lambda reader=reader: asked_for(reader, cast.payments, start))  # type: ignore[misc]
            assert rows, "or the test proves nothing"
            assert stream.news[-1]["html"] == rows
            for words in ("now", "then"):
                assert escape(stream.news[-1]["forecast"][words]) in forecast
        html = [stream.news[-1]["html"] for stream in streams]
        assert len(set(html)) == 4
        assert ["message-own" in one for one in html] == [True, False, False, False]
        assert ["mention-own" in one for one in html] == [False, True, False, False]
        assert ["Asia/Tokyo" in one for one in html] == [False, True, False, False]
        forecasts = {stream.news[-1]["forecast"]["then"] for stream in (streams[2], streams[3])}
        assert len(forecasts) == 2, "of who muted the topic, others would be e-mailed"
        told = [len(stream.news) for stream in streams]
        await elsewhere(lambda: edit_message(cast.payments.pk, message.sequence, cast.alice, "Second."))
        for count, stream in zip(told, streams, strict=True):
            await stream.until(lambda stream=stream, count=count: len(stream.news) > count)  # type: ignore[misc]
            assert "Second." in stream.news[-1]["html"]
            assert "message-edited" in stream.news[-1]["html"]
        await elsewhere(lambda: remove_message(cast.payments.pk, message.sequence, cast.alice, ""))
        for count, stream in zip(told, streams, strict=True):
            await stream.until(lambda stream=stream, count=count: len(stream.news) > count + 1)  # type: ignore[misc]
            assert "message-removed" in stream.news[-1]["html"]
            assert "Second." not in stream.news[-1]["html"]
        await close_all(streams)

    play(scene())


@pytest.mark.parametrize(("missed", "comes_along"), [(PAGE_LENGTH, True), (PAGE_LENGTH + 1, False)])
def test_more_than_a_page_is_for_the_page_to_ask_for(cast: Cast, missed: int, comes_along: bool) -> None:
    cookie = cookie_of(cast.bob)
    for number in range(missed):
        post(cast.payments, cast.alice, f"Canary {number}")

    async def scene() -> None:
        async with streams_of(cast.payments, cookie, last_event_id="0") as stream:
            await stream.revision(missed)
            (news,) = stream.news
            if comes_along:
                assert news["since"] == 0
                assert news["html"].count("data-sequence") == missed
            else:
                assert news == {"revision": missed}

    play(scene())


def test_what_happens_in_another_topic_is_not_told(cast: Cast, settings: Any) -> None:
    cookie = cookie_of(cast.bob)
    elsewhere_posted = [(make_topic(cast.payroll, "Overtime"), cast.alice), (cast.pensions, cast.mallory)]

    async def scene() -> None:
        async with streams_of(cast.payments, cookie) as stream:
            await subscribed(settings)
            await elsewhere(lambda: [post(topic, author, "Canary") for topic, author in elsewhere_posted])
            await elsewhere(lambda: post(cast.payments, cast.alice))
            await stream.revision(1)
            assert len(stream.events) == 1
            assert "Canary" not in stream.text

    play(scene())


@pytest.mark.parametrize(
    ("last_seen", "told"), [("1", [2]), ("0", [2]), ("2", []), ("3", []), ("", []), ("x", []), ("²", [])]
)
def test_who_comes_back_is_told_at_once_what_they_missed(cast: Cast, last_seen: str, told: list[int]) -> None:
    cookie = cookie_of(cast.bob)
    for _ in range(2):
        post(cast.payments, cast.alice)

    async def scene() -> None:
        async with streams_of(cast.payments, cookie, last_event_id=last_seen) as stream:
            await stream.until(lambda: bool(stream.text) and (not told or stream.revisions == told))
            await asyncio.sleep(0.05)
            assert stream.revisions == told
            for news in stream.news:
                assert news["since"] == int(last_seen)
                assert news["html"].count("data-sequence") == 2 - int(last_seen)

    play(scene())


def test_a_message_that_comes_before_the_subscription_is_told_all_the_same(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis answers late: the page has fetched what there was, and hears of nothing else until it does."""
    cookie = cookie_of(cast.bob)
    subscribe = hub.Hub._hear

    @wraps(subscribe)
    async def subscribe_late(self: hub.Hub) -> None:
        await asyncio.sleep(0.3)
        await subscribe(self)

    monkeypatch.setattr(hub.Hub, "_hear", subscribe_late)

    async def scene() -> None:
        async with streams_of(cast.payments, cookie) as stream:
            await stream.until(lambda: bool(stream.text))
            await elsewhere(lambda: post(cast.payments, cast.alice))
            assert await elsewhere(lambda: subscriptions(settings)) == 0, "or the test proves nothing"
            await stream.revision(1)

    play(scene())


# -- Who may listen --------------------------------------------------------------------------------------


async def refusal(stream: Stream) -> tuple[int | None, str, dict[str, str]]:
    async with stream:
        await stream.until(lambda: stream.is_over)
    return stream.status, stream.text, stream.headers


def test_for_everybody_else_there_is_no_such_stream(cast: Cast) -> None:
    outsiders = [cast.charlie, cast.dana, cast.mallory, cast.erin]
    cookies = ["", "sessionid=nonsense", *map(cookie_of, outsiders)]
    bob = cookie_of(cast.bob)

    async def scene() -> None:
        never = await refusal(Stream("/northwind/messenger/stream/", f"topic={10**15}", bob))
        assert never[:2] == (404, "")
        for cookie in cookies:
            assert await refusal(streams_of(cast.payments, cookie)) == never
        for topic in (cast.pensions, cast.secrets):
            assert await refusal(streams_of(topic, bob)) == never
        for slug in ("aurora", "atlantis"):
            assert await refusal(Stream(f"/{slug}/messenger/stream/", f"topic={cast.payments.pk}", bob)) == never
        async with streams_of(cast.payments, bob) as stream:
            assert stream.status == 200, "or the test proves nothing"

    play(scene())


def change_password(member: Member) -> None:
    member.user.set_password("another horse battery")
    member.user.save()


SIGNING_OUT: dict[str, Callable[[Cast], object]] = {
    "signed out": lambda cast: Session.objects.filter(user=cast.bob.user).delete(),
    "session over": lambda cast: Session.objects.filter(user=cast.bob.user).update(expire_date=timezone.now()),
    "password changed": lambda cast: change_password(cast.bob),
}


def list_of(cookie: str) -> Stream:
    """The stream of a topic list."""
    return Stream("/northwind/messenger/stream/", "", cookie)


def test_an_open_topic_list_is_told_of_its_own_topics_and_of_no_others(cast: Cast, settings: Any) -> None:
    bob, mallory = cookie_of(cast.bob), cookie_of(cast.mallory)

    async def scene() -> None:
        async with list_of(bob) as bobs, list_of(mallory) as mallorys:
            assert (bobs.status, mallorys.status) == (200, 200)
            await subscribed(settings)
            await elsewhere(lambda: post(cast.payments, cast.alice))
            await bobs.revision(1)
            await elsewhere(lambda: post(cast.pensions, cast.mallory))
            await mallorys.revision(1)
            assert bobs.revisions == [1], "not of Mallory's"
            assert mallorys.revisions == [1], "not of Bob's"
            assert [*bobs.news, *mallorys.news] == [{"revision": 1}] * 2, "and nothing of what was written"

    play(scene())


def test_an_open_topic_list_ends_when_there_is_no_messenger_for_its_reader_any_more(cast: Cast) -> None:
    bob = cookie_of(cast.bob)

    async def scene() -> None:
        async with list_of(bob) as bobs:
            await elsewhere(lambda: save_group(cast.payroll, [cast.alice]))
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == [("gone", "{}")]

    play(scene())


@pytest.mark.parametrize("way", SIGNING_OUT)
def test_an_open_topic_list_ends_when_its_reader_is_signed_out(
    cast: Cast, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 0.2)
    alice, bob = cookie_of(cast.alice), cookie_of(cast.bob)

    async def scene() -> None:
        async with list_of(alice) as alices, list_of(bob) as bobs:
            await elsewhere(lambda: SIGNING_OUT[way](cast))
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == [], "the page asks again, and hears that it is signed out"
            assert not alices.is_over

    play(scene())


def test_who_sees_no_messenger_has_no_stream_of_its_list(cast: Cast) -> None:
    cookies = [cookie_of(member) for member in (cast.charlie, cast.dana, cast.erin)]

    async def scene() -> None:
        for cookie in (*cookies, ""):
            assert (await refusal(list_of(cookie)))[0] == 404

    play(scene())


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
]


@pytest.mark.parametrize("query", MALFORMED)
def test_a_malformed_query_is_a_404(cast: Cast, query: str) -> None:
    cookie = cookie_of(cast.bob)

    async def scene() -> None:
        assert (await refusal(Stream("/northwind/messenger/stream/", query, cookie)))[0] in (400, 404)

    play(scene())


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
    async def scene() -> None:
        assert (await refusal(streams_of(cast.payments, cookie)))[0] in (400, 404)

    play(scene())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_no_other_method_opens_a_stream(cast: Cast, method: str) -> None:
    cookie = cookie_of(cast.bob)

    async def scene() -> None:
        stream = Stream("/northwind/messenger/stream/", f"topic={cast.payments.pk}", cookie, method)
        assert (await refusal(stream))[0] in (404, 405)

    play(scene())


LOSING_ACCESS: dict[str, Callable[[Cast], object]] = {
    "left the group": lambda cast: save_group(cast.payroll, [cast.alice]),
    "member deactivated": lambda cast: Member.objects.filter(pk=cast.bob.pk).update(is_active=False),
    "person deactivated": lambda cast: type(cast.bob.user).objects.filter(pk=cast.bob.user_id).update(is_active=False),
    "topic inactive": lambda cast: Topic.objects.filter(pk=cast.payments.pk).update(is_active=False),
    "group inactive": lambda cast: MessengerGroup.objects.filter(pk=cast.payroll.pk).update(is_active=False),
    "messenger off": lambda cast: set_messenger_enabled(cast.northwind, False),
}


@pytest.mark.parametrize("way", LOSING_ACCESS)
def test_who_lost_access_opens_no_stream(cast: Cast, way: str) -> None:
    cookie = cookie_of(cast.bob)

    async def scene() -> None:
        async with streams_of(cast.payments, cookie) as stream:
            assert stream.status == 200, "or the test proves nothing"
        await elsewhere(lambda: LOSING_ACCESS[way](cast))
        assert (await refusal(streams_of(cast.payments, cookie)))[0] == 404

    play(scene())


@pytest.mark.parametrize("way", LOSING_ACCESS)
def test_a_stream_ends_when_its_reader_loses_access(cast: Cast, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.CHECK_ACCESS_SECONDS < PATIENCE - 1, "the real one keeps the promise too"
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 0.2)
    cookies = {name: cookie_of(getattr(cast, name)) for name in ("alice", "bob")}

    async def scene() -> None:
        async with (
            streams_of(cast.payments, cookies["bob"]) as bobs,
            streams_of(cast.payments, cookies["alice"]) as alices,
        ):
            await asyncio.sleep(0.5)
            assert not bobs.is_over, "while he may listen he does"
            await elsewhere(lambda: LOSING_ACCESS[way](cast))
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == [("gone", "{}")]
            if "left" in way or "deactivated" in way:
                assert not alices.is_over, "nobody else is shut out"

    play(scene())


def test_a_post_after_the_reader_left_is_not_told_to_them(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 60)
    cookies = {name: cookie_of(getattr(cast, name)) for name in ("alice", "bob")}

    async def scene() -> None:
        async with (
            streams_of(cast.payments, cookies["bob"]) as bobs,
            streams_of(cast.payments, cookies["alice"]) as alices,
        ):
            await subscribed(settings)
            await elsewhere(lambda: save_group(cast.payroll, [cast.alice]))
            await elsewhere(lambda: post(cast.payments, cast.alice))
            await alices.revision(2)  # the first tells that fewer people would be e-mailed
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == [("gone", "{}")]

    play(scene())


@pytest.mark.parametrize("way", LOSING_ACCESS)
def test_who_lost_access_at_the_moment_of_a_post_is_handed_nothing_of_it(
    cast: Cast, way: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 60)
    cookies = {name: cookie_of(getattr(cast, name)) for name in ("alice", "bob")}

    @transaction.atomic
    def post_and_lose_access() -> None:
        post(cast.payments, cast.alice, "Confidential-canary")
        LOSING_ACCESS[way](cast)

    async def scene() -> None:
        async with (
            streams_of(cast.payments, cookies["bob"]) as bobs,
            streams_of(cast.payments, cookies["alice"]) as alices,
        ):
            await subscribed(settings)
            await elsewhere(post_and_lose_access)
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == [("gone", "{}")]
            if "left" in way or "deactivated" in way:
                await alices.until(lambda: "Confidential-canary" in alices.text)
            else:
                await alices.until(lambda: alices.is_over)
                assert "Confidential-canary" not in alices.text

    play(scene())


@pytest.mark.parametrize("way", SIGNING_OUT)
def test_who_is_signed_out_is_handed_nothing_and_not_told_that_the_topic_is_gone(
    cast: Cast, way: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 60)
    cookies = {name: cookie_of(getattr(cast, name)) for name in ("alice", "bob")}

    async def scene() -> None:
        async with (
            streams_of(cast.payments, cookies["bob"]) as bobs,
            streams_of(cast.payments, cookies["alice"]) as alices,
        ):
            await subscribed(settings)
            await elsewhere(lambda: SIGNING_OUT[way](cast))
            await elsewhere(lambda: post(cast.payments, cast.alice, "Confidential-canary"))
            await bobs.until(lambda: bobs.is_over)
            assert bobs.events == []
            await alices.until(lambda: "Confidential-canary" in alices.text)
            assert (await refusal(streams_of(cast.payments, cookies["bob"])))[0] == 404

    play(scene())


def test_a_stream_ends_by_itself_and_may_be_asked_for_again(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    assert live_stream.STREAM_SECONDS <= 5 * 60
    monkeypatch.setattr(live_stream, "STREAM_SECONDS", 0.3)
    monkeypatch.setattr(live_stream, "KEEP_ALIVE_SECONDS", 0.1)
    cookie = cookie_of(cast.bob)

    async def scene() -> None:
        for _ in range(2):
            async with streams_of(cast.payments, cookie) as stream:
                await stream.until(lambda: stream.is_over)
                assert stream.status == 200
                assert stream.events == []
                assert ": still here" in stream.text

    play(scene())


# -- What it costs ---------------------------------------------------------------------------------------

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


def test_waiting_streams_hold_no_connection_to_the_database(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 60)
    cookie = cookie_of(cast.bob)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        before = backends() | {cursor.fetchone()[0]}

    async def scene() -> None:
        streams = [streams_of(cast.payments, cookie) for _ in range(READERS)]
        await open_all(streams)
        assert all(stream.status == 200 for stream in streams), "or the test proves nothing"
        async with asyncio.timeout(PATIENCE):  # a closed connection takes a moment to go
            while await elsewhere(backends) - before:
                await asyncio.sleep(0.02)
        await close_all(streams)

    play(scene())


def test_all_streams_of_a_process_share_one_subscription_and_all_are_told(cast: Cast, settings: Any) -> None:
    cookies = {name: cookie_of(getattr(cast, name)) for name in ("alice", "bob")}
    overtime = make_topic(cast.payroll, "Overtime")

    async def scene() -> None:
        streams = [
            streams_of(topic, cookies[name])
            for topic in (cast.payments, overtime)
            for name in cookies
            for _ in range(READERS // 4)
        ]
        await open_all(streams)
        await subscribed(settings)
        assert await elsewhere(lambda: subscriptions(settings)) == 1
        await elsewhere(lambda: [post(cast.payments, cast.alice), post(overtime, cast.alice)])
        for stream in streams:
            await stream.revision(1)
        await close_all(streams)
        async with asyncio.timeout(PATIENCE):
            while await elsewhere(lambda: subscriptions(settings)):
                await asyncio.sleep(0.02)

    play(scene())


ADMISSION = StreamContext(
    session_key="", password=None, member_id=1, topic_id=1, language="en", time_zone="UTC", slug=""
)


def test_nothing_goes_on_after_the_last_reader_left_however_soon_that_is(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who leaves while the subscription is still being made may not leave it behind, nor a second one."""
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 0.2)
    monkeypatch.setattr(hub, "HEAR_SECONDS", 0.2)

    async def scene() -> None:
        opened, before = hub.Hub(events.CHANNEL), asyncio.all_tasks()
        at_work: set[asyncio.Task[None]] = set()
        for attempt in range(80):
            reader = subscription.Subscription(ADMISSION, 0)
            opened.join(reader)
            await asyncio.sleep(attempt / 10_000)
            at_work |= set(opened._tasks.values())
            assert len([task for task in at_work if not task.done()]) <= 2, "one that hears and one that looks"
            opened.leave(reader)
        assert at_work, "or the test proves nothing"
        await asyncio.wait(at_work, timeout=PATIENCE)
        assert asyncio.all_tasks() == before
        assert await elsewhere(lambda: subscriptions(settings)) == 0

    play(scene())


# -- Redis away ------------------------------------------------------------------------------------------


def test_without_redis_a_stream_opens_and_ends_when_access_does(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHECK_ACCESS_SECONDS", 0.2)
    cookie = cookie_of(cast.bob)
    post(cast.payments, cast.alice)

    async def scene() -> None:
        async with streams_of(cast.payments, cookie, last_event_id="0") as stream:
            await stream.revision(1)
            await elsewhere(lambda: post(cast.payments, cast.alice))
            assert not stream.is_over
            await elsewhere(lambda: save_group(cast.payroll, [cast.alice]))
            await stream.until(lambda: stream.is_over)
            assert stream.events[-1] == ("gone", "{}")

    with redis_away(settings):
        play(scene())


def test_when_redis_is_back_an_open_stream_is_told_again(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "RECONNECT_SECONDS", 0.1)
    cookie = cookie_of(cast.bob)

    async def scene() -> None:
        with redis_away(settings):
            stream = streams_of(cast.payments, cookie)
            await stream.__aenter__()
            await asyncio.sleep(0.2)
        settings.REDIS_URL = redis_url
        await subscribed(settings)
        await elsewhere(lambda: post(cast.payments, cast.alice))
        await stream.revision(1)
        await stream.__aexit__()

    redis_url = settings.REDIS_URL
    play(scene())


def test_junk_on_the_channel_breaks_no_stream(cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "RECONNECT_SECONDS", 0.1)
    cookie = cookie_of(cast.bob)

    def announce(junk: str) -> None:
        with Redis.from_url(settings.REDIS_URL) as redis:
            redis.publish(events.CHANNEL, junk)

    async def scene() -> None:
        async with streams_of(cast.payments, cookie) as stream:
            await subscribed(settings)
            for junk in ("", "x", "{}", "[]", '{"topic": "x", "revision": 1}', "\0", '{"topic": 1e999, "revision": 1}'):
                await elsewhere(lambda junk=junk: announce(junk))  # type: ignore[misc]
            await asyncio.sleep(0.5)
            await subscribed(settings)
            await elsewhere(lambda: post(cast.payments, cast.alice))
            await stream.revision(1)

    play(scene())


def test_a_path_that_only_looks_like_a_stream_is_a_page(cast: Cast) -> None:
    cookie = cookie_of(cast.bob)

    async def scene() -> None:
        for path in (
            "/northwind/messenger/stream",
            "/northwind/messenger/stream/x/",
            "/North/messenger/stream/",
            quote("/é/messenger/stream/"),
        ):
            assert (await refusal(Stream(path, f"topic={cast.payments.pk}", cookie)))[0] in (301, 404)

    play(scene())
