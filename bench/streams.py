"""Open streams (P6): the product's, beside a bare hub's."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

import redis

from bench.fill import CROWD_SLUG
from bench.load import Unusable, one_of
from bench.proc import pss_kib
from bench.scene import Person, Scene, sign_in
from bench.stack import Stack
from ippex_messenger.embedded.home import CHECKOUT
from tenancy.models import Member

PUBLICATIONS = 12
PAUSE = 0.4  # seconds between two publications


@dataclass(frozen=True)
class Streams:
    """With so many of them open. Of each publication: milliseconds until each stream had it."""

    shown: list[list[float]]
    received: list[list[float]]
    floor: list[list[float]]
    kib: float
    """Memory of a stream."""
    subscriptions: int

    def as_single(self) -> dict[str, float]:
        return {
            "streams p50": statistics.median(chain(*self.shown)),
            "streams p99": p99(chain(*self.shown)),
            "streams p99 until the event": p99(chain(*self.received)),
            "floor S p50": statistics.median(chain(*self.floor)),
            "floor S p99": p99(chain(*self.floor)),
            "p99 / floor, of most publications": self.to_floor,
            "stream KiB": self.kib,
            "subscriptions": self.subscriptions,
        }

    @property
    def to_floor(self) -> float:
        """The median of the ratios of each two publications that followed each other."""
        return statistics.median(p99(ours) / p99(floor) for ours, floor in zip(self.shown, self.floor, strict=True))


def usual(publications: Iterable[list[float]]) -> float:
    """The p99 of most publications: of all of them together it would be that of the one that was disturbed."""
    return statistics.median(p99(of_one) for of_one in publications)


def p99(values: Iterable[float]) -> float:
    found = sorted(values)
    return found[int(len(found) * 0.99)]


def listeners(count: int) -> list[Person]:
    return sign_in(Member.objects.filter(tenancy__slug=CROWD_SLUG).order_by("pk")[:count])


def measure(
    running: Stack, scene: Scene, people: list[Person], counts: Sequence[int], publications: int = PUBLICATIONS
) -> Iterator[Streams]:
    """With so many streams open, and so many more, each count in turn: `people` are as many as the last."""
    topic = scene.crowds[max(scene.crowds)]
    for name in ("streams", "hub"):
        running.start(name)
    memory_before, subscribed_before = _memory(running), _subscribed(running)
    base = f"/{CROWD_SLUG}/messenger/"
    post = one_of(scene.post([topic], scene.crowd_member))
    pages = running.url("pages")
    sides = [
        {
            "url": running.url("streams"),
            "paths": [f"{base}stream/?topic={topic.pk}"] * len(people),
            "cookies": [person.headers["Cookie"] for person in people],
            "publish": {"url": pages + post.path, "headers": post.headers, "body": scene.post([topic]).body},
            "fetch": f"{pages}{base}topics/{topic.pk}/messages/?since={{revision}}&from=1",
        },
        {
            "url": running.url("hub"),
            "paths": ["/"] * len(people),
            "cookies": [""] * len(people),
            "publish": {"url": running.url("hub") + "/", "headers": {}, "body": ""},
            "fetch": "",
        },
    ]
    plan = {
        "sides": sides,
        "redis_url": running.home.redis_url,
        "counts": counts,
        "publications": publications,
        "pause": PAUSE,
    }
    with _client(plan) as (ask, client):
        for count in counts:
            if ask() != "open\n":
                raise Unusable("The streams could not be opened.")
            subscriptions = _subscribed(running) - subscribed_before - 1  # the client listens too
            memory = _memory(running)
            client.write("go\n")
            client.flush()
            answer = ask()
            if not answer:
                raise Unusable("The streams could not be measured.")
            ours, floor = json.loads(answer)
            yield Streams(
                shown=ours["shown"],
                received=ours["received"],
                floor=floor["shown"],
                kib=(memory - memory_before) / count,
                subscriptions=subscriptions,
            )
    running.stop("streams", "hub")


@contextmanager
def _client(plan: dict[str, Any]) -> Iterator[tuple[Callable[[], str], IO[str]]]:
    """What it says next, and what it reads."""
    client = subprocess.Popen(
        [sys.executable, "-m", "bench.stream_client"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin  # noqa: S101  (for the type checker, as the next one)
    assert client.stdout  # noqa: S101
    try:
        client.stdin.write(json.dumps(plan) + "\n")
        client.stdin.flush()
        yield client.stdout.readline, client.stdin
    finally:
        client.stdin.close()
        client.terminate()
        client.wait()


def _memory(running: Stack) -> int:
    return sum(pss_kib(pid) for pid in running.workers("streams"))


def _subscribed(running: Stack) -> int:
    """Connections that are subscribed to something; Celery's worker has one too."""
    with redis.Redis.from_url(running.home.redis_url) as queue:
        clients = queue.client_list()
    return sum(1 for one in clients if int(one["sub"]) + int(one["psub"]) > 0)
