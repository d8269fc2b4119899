"""Open streams (P6): the product's, beside a bare hub's."""

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass

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
    shown: list[float]  # milliseconds, as the other
    received: list[float]
    floor: list[float]
    kib: float
    """Memory of a stream."""
    subscriptions: int

    def as_single(self) -> dict[str, float]:
        return {
            "streams p50": statistics.median(self.shown),
            "streams p99": p99(self.shown),
            "streams p99 until the event": p99(self.received),
            "floor S p50": statistics.median(self.floor),
            "floor S p99": p99(self.floor),
            "stream KiB": self.kib,
            "subscriptions": self.subscriptions,
        }


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def listeners(count: int) -> list[Person]:
    return sign_in(Member.objects.filter(tenancy__slug=CROWD_SLUG).order_by("pk")[:count])


def measure(running: Stack, scene: Scene, people: list[Person], publications: int = PUBLICATIONS) -> Streams:
    topic = scene.crowds[max(scene.crowds)]
    for name in ("streams", "hub"):
        running.start(name)
    memory_before = _memory(running)
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
    plan = {"sides": sides, "redis_url": running.home.redis_url, "publications": publications, "pause": PAUSE}
    client = subprocess.Popen(
        [sys.executable, "-m", "bench.stream_client"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin  # noqa: S101  (for the type checker, as the next one)
    assert client.stdout  # noqa: S101
    client.stdin.write(json.dumps(plan) + "\n")
    client.stdin.flush()
    if client.stdout.readline() != "open\n":
        raise Unusable("The streams could not be opened.")
    subscriptions = _subscriptions(running)
    memory = _memory(running)
    client.stdin.write("go\n")
    client.stdin.flush()
    answer = client.stdout.readline()
    if client.wait():
        raise Unusable("The streams could not be measured.")
    ours, floor = json.loads(answer)
    running.stop("streams", "hub")
    return Streams(
        shown=ours["shown"],
        received=ours["received"],
        floor=floor["shown"],
        kib=(memory - memory_before) / len(people),
        subscriptions=subscriptions,
    )


def _memory(running: Stack) -> int:
    return sum(pss_kib(pid) for pid in running.workers("streams"))


def _subscriptions(running: Stack) -> int:
    """Connections of the stream process that are subscribed to something; Celery's worker has one of its own."""
    with redis.Redis.from_url(running.home.redis_url) as queue:
        clients = queue.client_list()
    return sum(1 for one in clients if int(one["sub"]) + int(one["psub"]) > 0 and one["cmd"] in ("subscribe", "ping"))
