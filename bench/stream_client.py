"""Opens many streams in one process and measures how long an event takes to reach each of them.

Reads a plan (JSON) from standard input. For each number of streams in it, opens as many (earlier ones stay open),
prints "open", waits for a line, publishes to each server in turn, and prints milliseconds as JSON, a list for each
publication. The product and the bare hub are measured with the same client.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis

OPENING_AT_ONCE = 20
WAIT_SECONDS = 120
ENOUGH_SECONDS = 30  # no further publications after this time, but at least one
PAUSE_SECONDS = 1.0


@dataclass
class Server:
    """A server and its open streams."""

    url: str
    paths: list[str]  # of each stream
    cookies: list[str]  # of each stream
    publish: dict[str, Any]  # url, headers, body
    fetch: str  # URL for changes since {revision}; empty if events are complete
    published_at: float = 0.0  # time.monotonic()
    is_published: bool = False
    received: list[float] = field(default_factory=list)  # milliseconds until a stream had the event
    shown: list[float] = field(default_factory=list)  # milliseconds until a stream had the message itself
    open: int = 0
    all_reached: asyncio.Event = field(default_factory=asyncio.Event)
    reached: set[int] = field(default_factory=set)  # the streams that have the message

    def note(self, number: int, ms: float) -> None:
        if number in self.reached:
            return  # a second event about the same message
        self.reached.add(number)
        self.shown.append(ms)
        if len(self.reached) == self.open:
            self.all_reached.set()

    def begin(self) -> None:
        self.all_reached.clear()
        self.reached.clear()
        self.received, self.shown = [], []
        self.is_published = False
        self.published_at = time.monotonic()


async def _send(url: str, head: str, body: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"{head}Host: {parts.netloc}\r\n\r\n{body}".encode())
    return reader, writer


async def _read_stream(server: Server, number: int, gate: asyncio.Semaphore, opened: asyncio.Queue[int]) -> None:
    async with gate:
        head = f"GET {server.paths[number]} HTTP/1.1\r\nCookie: {server.cookies[number]}\r\n"
        reader, _ = await _send(server.url, head)
        while (line := await reader.readline()) and not line.startswith((b": listening", b"6")):
            if line.startswith(b"HTTP/1.1") and b" 200" not in line:
                raise RuntimeError(f"stream {server.paths[number]}: {line!r}")
        opened.put_nowait(number)
    while line := await reader.readline():
        if not line.startswith(b"data: "):
            continue
        now = time.monotonic()
        data = _parse_event(line[6:])
        if not server.published_at:
            continue  # an event from before the measurement
        begun = data.get("published_at") or server.published_at
        server.received.append((now - begun) * 1000)
        if not server.fetch or "html" in data:
            server.note(number, (now - begun) * 1000)
        else:
            await _fetch(server, number, data["revision"], begun)
    raise RuntimeError(f"stream {server.paths[number]} ended")


@lru_cache(maxsize=16)
def _parse_event(text: bytes) -> dict[str, Any]:
    """The data of an event: names and values, or the message itself as HTML.

    Cached, because the same event reaches a thousand streams. Real readers parse it on a thousand machines.
    """
    if text.startswith(b"{"):
        data: dict[str, Any] = json.loads(text)
        return data
    return {"html": text}


async def _fetch(server: Server, number: int, revision: int, begun: float) -> None:
    parts = urlsplit(server.fetch.format(revision=revision - 1))
    head = (
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nCookie: {server.cookies[number]}\r\n"
        "X-Requested-With: fetch\r\nConnection: close\r\n"
    )
    reader, writer = await _send(server.fetch, head)
    response = await reader.read()
    writer.close()
    if b" 200 " not in response[:20]:
        raise RuntimeError(f"{server.fetch}: {response[:200]!r}")
    server.note(number, (time.monotonic() - begun) * 1000)


async def _publish(server: Server) -> None:
    from uuid import uuid4

    body = str(server.publish["body"]).replace("@UUID@", str(uuid4()))
    headers = "".join(f"{name}: {value}\r\n" for name, value in server.publish["headers"].items())
    path = urlsplit(server.publish["url"]).path
    head = f"POST {path} HTTP/1.1\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n"
    server.begin()
    reader, writer = await _send(server.publish["url"], head, body)
    response = await reader.readline()
    if b" 20" not in response:
        raise RuntimeError(f"{server.publish['url']}: {response!r}")
    await asyncio.wait_for(server.all_reached.wait(), WAIT_SECONDS)
    writer.close()


async def _watch_publications(redis_url: str, servers: list[Server]) -> None:
    """Note when the product publishes an event: its time is measured from there. The client subscribes to Redis too."""
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as subscription:
        await subscription.psubscribe("*")
        async for event in subscription.listen():
            if event["type"] == "pmessage":
                for server in servers:
                    if server.fetch and not server.is_published:
                        server.published_at, server.is_published = time.monotonic(), True


async def _open(servers: list[Server], count: int, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    """Open streams until each server has `count` of them."""
    gate, opened = asyncio.Semaphore(OPENING_AT_ONCE), asyncio.Queue[int]()
    readers = [
        tasks.create_task(_read_stream(server, number, gate, opened))
        for server in servers
        for number in range(server.open, count)
    ]
    for _ in readers:
        await opened.get()
    for server in servers:
        server.open = count
    return readers


async def _measure(servers: list[Server], publications: int, pause: float) -> list[dict[str, list[list[float]]]]:
    results: list[dict[str, list[list[float]]]] = [{"received": [], "shown": []} for _ in servers]
    end = time.monotonic() + ENOUGH_SECONDS
    for number in range(publications + 1):
        if number > 1 and time.monotonic() > end:
            break
        for server, result in zip(servers, results, strict=True):
            await _publish(server)
            await asyncio.sleep(pause)
            if number:  # the first publication is a warm-up
                result["received"].append(server.received)
                result["shown"].append(server.shown)
    return results


async def main() -> None:
    plan = json.loads(sys.stdin.readline())
    servers = [Server(**server) for server in plan["servers"]]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_watch_publications(plan["redis_url"], servers))]
        for count in plan["counts"]:
            running += await _open(servers, count, tasks)
            print("open", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            await asyncio.sleep(PAUSE_SECONDS)
            print(json.dumps(await _measure(servers, plan["publications"], plan["pause"])), flush=True)
        for task in running:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
