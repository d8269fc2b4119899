"""How it grows: one panel for each thing of which there can be more, all sizes of a curve in one rotation.

What was measured is kept in a file: panels that are not measured this time are drawn as they were the last time.
"""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench import mails, streams
from bench.chart import PANELS, Curve, Panel, draw
from bench.load import CONCURRENCY
from bench.rotation import Contestant, answer_of, take_turn
from bench.run import say
from bench.scene import Scene
from bench.stack import Stack
from bench.targets import Request
from bench.visits import visits
from ippex_messenger.embedded.home import CHECKOUT

CHART = CHECKOUT / "docs" / "images" / "growth.svg"
TENANCIES = (1, 10, 100, 1_000)
CLIENTS = (1, 2, 4, 8, 16, 32, 64)
STREAMS = (10, 100, 500, 1_000, 2_000)
RELATIVE = "a second; the first size is 1"


class Growth:
    def __init__(self, running: Stack, scene: Scene, seconds: int, rounds: int) -> None:
        self.running = running
        self.scene = scene
        self.seconds = seconds
        self.rounds = rounds
        self.url = running.url("pages")

    def panels(self, names: Sequence[str]) -> Iterator[tuple[str, Panel]]:
        for name in names:
            yield name, getattr(self, name)()

    def threads(self) -> Panel:
        lengths = sorted(self.scene.threads)
        pages = (("last page", "?latest"), ("middle", "?at={middle}"), ("first page", "?at=1"))
        return Panel(
            "Messages in the thread",
            f"pages {RELATIVE}",
            [
                self._curve(
                    what, {length: self.scene.thread(length, query.format(middle=length // 2)) for length in lengths}
                )
                for what, query in pages
            ],
        )

    def topics(self) -> Panel:
        readers = dict(zip(self.scene.shape.topics, self.scene.readers, strict=True))
        shortest = min(self.scene.threads)
        lists = {count: self.scene.topics(reader) for count, reader in readers.items()}
        threads = {count: self.scene.thread(shortest, reader=reader) for count, reader in readers.items()}
        return Panel(
            "Topics of the reader",
            f"pages {RELATIVE}",
            [self._curve("topic list", lists), self._curve("thread", threads)],
        )

    def break_silence(self) -> None:
        """What is posted next is within the interval: no mails beside what is measured."""
        self.scene.break_silence(self.url)
        mails.forget(self.running)

    def members(self) -> Panel:
        self.break_silence()
        reader = self.scene.crowd_member
        posts = {size: self.scene.post([topic], reader) for size, topic in sorted(self.scene.crowds.items())}
        threads = {size: self.scene.page_of(topic, reader) for size, topic in sorted(self.scene.crowds.items())}
        return Panel(
            "Members of the group",
            f"requests {RELATIVE}",
            [self._curve("post", posts), self._curve("thread", threads)],
        )

    def tenancies(self) -> Panel:
        pages = {count: visits(count, self.running.home.folder) for count in TENANCIES}
        return Panel("Tenancies in use", f"pages {RELATIVE}", [self._curve("thread", pages)])

    def clients(self) -> Panel:
        self.break_silence()
        post = self.scene.post(self.scene.posted)
        rates = self._rates([(post, count) for count in CLIENTS])
        points = [(count, statistics.median(of_rounds)) for count, of_rounds in zip(CLIENTS, rates, strict=True)]
        return Panel("Posting clients", "posts a second", [_told("posts", points)])

    def streams(self) -> Panel:
        self.break_silence()
        ours, floor = [], []
        people = streams.listeners(max(STREAMS))
        for count, found in zip(STREAMS, streams.measure(self.running, self.scene, people, STREAMS), strict=True):
            ours.append((count, streams.usual(found.shown)))
            floor.append((count, streams.usual(found.floor)))
            say(f"{count:,} streams: {ours[-1][1]:.1f} ms, a bare hub {floor[-1][1]:.1f} ms")
        return Panel(
            "Open streams", "ms until 99 of 100 show it", [_told("Messenger", ours), _told("a bare hub", floor)]
        )

    def _curve(self, what: str, requests: Mapping[int, Request]) -> Curve:
        """Of each size, the requests a second as a share of those of the first: the median of the rounds."""
        rates = self._rates([(request, CONCURRENCY) for request in requests.values()])
        points = [
            (size, statistics.median(mine / base for mine, base in zip(of_rounds, rates[0], strict=True)))
            for size, of_rounds in zip(requests, rates, strict=True)
        ]
        return _told(what, points)

    def _rates(self, asked: Sequence[tuple[Request, int]]) -> list[list[float]]:
        """Requests a second of each, with so many clients, in each round."""
        contestants = [(Contestant(request.path, self.url, request), clients) for request, clients in asked]
        for one, _ in contestants:
            answer_of(one)
        rates: list[list[float]] = [[] for _ in contestants]
        for _ in range(self.rounds):
            for (one, clients), of_rounds in zip(contestants, rates, strict=True):
                of_rounds.append(take_turn(one, self.seconds, clients).per_second)
        return rates


def _told(what: str, points: list[tuple[int, float]]) -> Curve:
    say(f"{what}: " + ", ".join(f"{size:,} {value:.3g}" for size, value in points))
    return Curve(what, points)


def grow(running: Stack, scene: Scene, seconds: int, rounds: int, only: Sequence[str] = ()) -> None:
    path = running.home.folder / "growth.json"
    panels = read(path)
    for name, panel in Growth(running, scene, seconds, rounds).panels(only or PANELS):
        panels[name] = panel
        # What is measured is there, whatever becomes of the next.
        path.write_text(json.dumps({name: asdict(panel) for name, panel in panels.items()}, indent=1))
        CHART.write_text(draw([panels[name] for name in PANELS if name in panels]))
        say(f"Written to {path} and {CHART}")


def read(path: Path) -> dict[str, Panel]:
    """What was measured before."""
    found = json.loads(path.read_text()) if path.exists() else {}
    return {
        name: Panel(
            panel["title"],
            panel["unit"],
            [Curve(curve["name"], [(size, value) for size, value in curve["points"]]) for curve in panel["curves"]],
        )
        for name, panel in found.items()
    }
