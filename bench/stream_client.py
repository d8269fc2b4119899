"""Many open streams in one process, and how long an event takes to each of them.

Reads a plan (JSON) from standard input. For each number of streams in it: opens so many (those of before stay
open), says so, waits for a line, and publishes to each side in turn; answers with milliseconds, a list for each
publication. The same client for the product and for the bare hub.
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
ENOUGH_SECONDS = 30  # of publishing; where one takes that long, one is enough
PAUSE_SECONDS = 1.0


@dataclass
class Side:
    """One server with its streams."""

    url: str
    paths: list[str]
    cookies: list[str]
    publish: dict[str, Any]  # url, headers, body
    fetch: str  # where what is new can be asked for, {revision} in it; empty: an event is all there is
    published_at: float = 0.0
    is_published: bool = False
    received: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    open: int = 0
    everybody: asyncio.Event = field(default_factory=asyncio.Event)
    reached: set[int] = field(default_factory=set)

    def note(self, number: int, ms: float) -> None:
        if number in self.reached:
            return  # a second event about the same
        self.reached.add(number)
        self.shown.append(ms)
        if len(self.reached) == self.open:
            self.everybody.set()

    def begin(self) -> None:
        self.everybody.clear()
        self.reached.clear()
        self.received, self.shown = [], []
        self.is_published = False
        self.published_at = time.monotonic()


async def _send(url: str, head: str, body: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"{head}Host: {parts.netloc}\r\n\r\n{body}".encode())
    return reader, writer


async def _listen(side: Side, number: int, gate: asyncio.Semaphore, opened: asyncio.Queue[int]) -> None:
    async with gate:
        head = f"GET {side.paths[number]} HTTP/1.1\r\nCookie: {side.cookies[number]}\r\n"
        reader, _ = await _send(side.url, head)
        while (line := await reader.readline()) and not line.startswith((b": listening", b"6")):
            if line.startswith(b"HTTP/1.1") and b" 200" not in line:
                raise RuntimeError(f"stream {side.paths[number]}: {line!r}")
        opened.put_nowait(number)
    while line := await reader.readline():
        if not line.startswith(b"data: "):
            continue
        now = time.monotonic()
        data = _told(line[6:])
        if not side.published_at:
            continue  # of a message that was not measured
        begun = data.get("published_at") or side.published_at
        side.received.append((now - begun) * 1000)
        if not side.fetch or "html" in data:
            side.note(number, (now - begun) * 1000)
        else:
            await _fetch(side, number, data["revision"], begun)
    raise RuntimeError(f"stream {side.paths[number]} ended")


@lru_cache(maxsize=16)
def _told(text: bytes) -> dict[str, Any]:
    """What an event holds: names and values, or the message itself as HTML.

    Once for all: a thousand readers have a thousand processors of their own for it.
    """
    if text.startswith(b"{"):
        found: dict[str, Any] = json.loads(text)
        return found
    return {"html": text}


async def _fetch(side: Side, number: int, revision: int, begun: float) -> None:
    parts = urlsplit(side.fetch.format(revision=revision - 1))
    head = (
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nCookie: {side.cookies[number]}\r\n"
        "X-Requested-With: fetch\r\nConnection: close\r\n"
    )
    reader, writer = await _send(side.fetch, head)
    answer = await reader.read()
    writer.close()
    if b" 200 " not in answer[:20]:
        raise RuntimeError(f"{side.fetch}: {answer[:200]!r}")
    side.note(number, (time.monotonic() - begun) * 1000)


async def _publish(side: Side) -> None:
    from uuid import uuid4

    body = str(side.publish["body"]).replace("@UUID@", str(uuid4()))
    headers = "".join(f"{name}: {value}\r\n" for name, value in side.publish["headers"].items())
    path = urlsplit(side.publish["url"]).path
    head = f"POST {path} HTTP/1.1\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n"
    side.begin()
    reader, writer = await _send(side.publish["url"], head, body)
    answer = await reader.readline()
    if b" 20" not in answer:
        raise RuntimeError(f"{side.publish['url']}: {answer!r}")
    await asyncio.wait_for(side.everybody.wait(), WAIT_SECONDS)
    writer.close()


async def _watch_publications(redis_url: str, sides: list[Side]) -> None:
    """An event of the product counts from its publication, which this client hears like everybody else."""
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as subscription:
        await subscription.psubscribe("*")
        async for event in subscription.listen():
            if event["type"] == "pmessage":
                for side in sides:
                    if side.fetch and not side.is_published:
                        side.published_at, side.is_published = time.monotonic(), True


async def _open(sides: list[Side], count: int, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    """So many streams of each side, with those that are open."""
    gate, opened = asyncio.Semaphore(OPENING_AT_ONCE), asyncio.Queue[int]()
    listening = [
        tasks.create_task(_listen(side, number, gate, opened)) for side in sides for number in range(side.open, count)
    ]
    for _ in listening:
        await opened.get()
    for side in sides:
        side.open = count
    return listening


async def _measure(sides: list[Side], publications: int, pause: float) -> list[dict[str, list[list[float]]]]:
    found: list[dict[str, list[list[float]]]] = [{"received": [], "shown": []} for _ in sides]
    end = time.monotonic() + ENOUGH_SECONDS
    for number in range(publications + 1):
        if number > 1 and time.monotonic() > end:
            break
        for side, of_side in zip(sides, found, strict=True):
            await _publish(side)
            await asyncio.sleep(pause)
            if number:  # the first was to warm up
                of_side["received"].append(side.received)
                of_side["shown"].append(side.shown)
    return found


async def main() -> None:
    plan = json.loads(sys.stdin.readline())
    sides = [Side(**side) for side in plan["sides"]]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_watch_publications(plan["redis_url"], sides))]
        for count in plan["counts"]:
            running += await _open(sides, count, tasks)
            print("open", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            await asyncio.sleep(PAUSE_SECONDS)
            print(json.dumps(await _measure(sides, plan["publications"], plan["pause"])), flush=True)
        for task in running:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
