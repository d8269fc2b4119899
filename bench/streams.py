"""Goal P6: the product's open streams, compared with those of a bare hub (floor S)."""

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
from bench.load import BenchError, single_request
from bench.proc import pss_kib
from bench.scene import Person, Scene, sign_in
from bench.stack import Stack
from ippex_messenger.embedded.home import CHECKOUT
from tenancy.models import Member

PUBLICATIONS = 12
PAUSE = 0.4  # seconds between two publications


@dataclass(frozen=True)
class Streams:
    """What was measured with a certain number of open streams.

    The lists contain, for each publication, the milliseconds until each stream had it.
    """

    shown: list[list[float]]  # the message itself
    received: list[list[float]]  # the event
    floor: list[list[float]]  # the event of the bare hub
    kib: float  # memory of one stream
    subscriptions: int  # of the process, to Redis

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
        """The median of the ratios to the floor, each of two consecutive publications."""
        return statistics.median(p99(ours) / p99(floor) for ours, floor in zip(self.shown, self.floor, strict=True))


def median_p99(publications: Iterable[list[float]]) -> float:
    """The median of the p99 of each publication. The p99 of all values would be that of one disturbed publication."""
    return statistics.median(p99(publication) for publication in publications)


def p99(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[int(len(ordered) * 0.99)]


def readers(count: int) -> list[Person]:
    """Signed-in members who can read the topic that is measured."""
    return sign_in(Member.objects.filter(tenancy__slug=CROWD_SLUG).order_by("pk")[:count])


def measure(
    running: Stack, scene: Scene, people: list[Person], counts: Sequence[int], publications: int = PUBLICATIONS
) -> Iterator[Streams]:
    """Measure with each of the numbers of open streams in `counts`, in ascending order, one stream for each person."""
    topic = scene.crowds[max(scene.crowds)]
    for name in ("streams", "hub"):
        running.start(name)
    memory_before, subscribed_before = _memory(running), _subscribed_connections(running)
    base = f"/{CROWD_SLUG}/messenger/"
    post = single_request(scene.post([topic], scene.crowd_member))
    pages = running.url("pages")
    servers = [
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
        "servers": servers,
        "redis_url": running.home.redis_url,
        "counts": counts,
        "publications": publications,
        "pause": PAUSE,
    }
    with _client(plan) as (read_line, client_input):
        for count in counts:
            if read_line() != "open\n":
                raise BenchError("The streams could not be opened.")
            subscriptions = _subscribed_connections(running) - subscribed_before - 1  # one is the client's own
            memory = _memory(running)
            client_input.write("go\n")
            client_input.flush()
            line = read_line()
            if not line:
                raise BenchError("The streams could not be measured.")
            ours, floor = json.loads(line)
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
    """Run bench.stream_client; yields a function that reads its next line, and its standard input."""
    client = subprocess.Popen(
        [sys.executable, "-m", "bench.stream_client"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin  # noqa: S101  (for the type checker, like the next line)
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


def _subscribed_connections(running: Stack) -> int:
    """The number of connections to Redis with a subscription; Celery's worker has one too."""
    with redis.Redis.from_url(running.home.redis_url) as queue:
        clients = queue.client_list()
    return sum(1 for client in clients if int(client["sub"]) + int(client["psub"]) > 0)
