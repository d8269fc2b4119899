"""How performance changes with size: one panel for each thing that can grow, all sizes of a curve in one rotation.

The values are saved in a file. Panels that are not measured in this run are drawn from there.
"""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench import mails, streams
from bench.chart import PANELS, Curve, Panel, draw
from bench.load import CONCURRENCY
from bench.rotation import Contestant, check_response, take_turn
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
                self._relative_curve(
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
            [self._relative_curve("topic list", lists), self._relative_curve("thread", threads)],
        )

    def start_intervals(self) -> None:
        """Posts that follow are within the interval, so that no mails are sent while posts are measured."""
        self.scene.start_intervals(self.url)
        mails.discard_queue(self.running)

    def members(self) -> Panel:
        self.start_intervals()
        reader = self.scene.crowd_member
        posts = {size: self.scene.post([topic], reader) for size, topic in sorted(self.scene.crowds.items())}
        threads = {size: self.scene.page_of(topic, reader) for size, topic in sorted(self.scene.crowds.items())}
        return Panel(
            "Members of the group",
            f"requests {RELATIVE}",
            [self._relative_curve("post", posts), self._relative_curve("thread", threads)],
        )

    def tenancies(self) -> Panel:
        pages = {count: visits(count, self.running.home.folder) for count in TENANCIES}
        return Panel("Tenancies in use", f"pages {RELATIVE}", [self._relative_curve("thread", pages)])

    def clients(self) -> Panel:
        self.start_intervals()
        post = self.scene.post(self.scene.posted)
        rates = self._rates([(post, count) for count in CLIENTS])
        points = [(count, statistics.median(of_rounds)) for count, of_rounds in zip(CLIENTS, rates, strict=True)]
        return Panel("Posting clients", "posts a second", [_curve("posts", points)])

    def streams(self) -> Panel:
        self.start_intervals()
        ours, floor = [], []
        people = streams.readers(max(STREAMS))
        for count, found in zip(STREAMS, streams.measure(self.running, self.scene, people, STREAMS), strict=True):
            ours.append((count, streams.median_p99(found.shown)))
            floor.append((count, streams.median_p99(found.floor)))
            say(f"{count:,} streams: {ours[-1][1]:.1f} ms, a bare hub {floor[-1][1]:.1f} ms")
        return Panel(
            "Open streams", "ms until 99 of 100 show it", [_curve("Messenger", ours), _curve("a bare hub", floor)]
        )

    def _relative_curve(self, what: str, requests: Mapping[int, Request]) -> Curve:
        """For each size, the requests a second as a share of those at the first size: the median of all rounds."""
        rates = self._rates([(request, CONCURRENCY) for request in requests.values()])
        points = [
            (size, statistics.median(mine / base for mine, base in zip(of_rounds, rates[0], strict=True)))
            for size, of_rounds in zip(requests, rates, strict=True)
        ]
        return _curve(what, points)

    def _rates(self, loads: Sequence[tuple[Request, int]]) -> list[list[float]]:
        """For each load (a request and the number of clients that send it), the requests a second in each round."""
        contestants = [(Contestant(request.path, self.url, request), clients) for request, clients in loads]
        for contestant, _ in contestants:
            check_response(contestant)
        rates: list[list[float]] = [[] for _ in contestants]
        for _ in range(self.rounds):
            for (contestant, clients), of_rounds in zip(contestants, rates, strict=True):
                of_rounds.append(take_turn(contestant, self.seconds, clients).per_second)
        return rates


def _curve(what: str, points: list[tuple[int, float]]) -> Curve:
    say(f"{what}: " + ", ".join(f"{size:,} {value:.3g}" for size, value in points))
    return Curve(what, points)


def grow(running: Stack, scene: Scene, seconds: int, rounds: int, only: Sequence[str] = ()) -> None:
    path = running.home.folder / "growth.json"
    panels = read(path)
    for name, panel in Growth(running, scene, seconds, rounds).panels(only or PANELS):
        panels[name] = panel
        # Saved after each panel, in case a later one fails.
        path.write_text(json.dumps({name: asdict(panel) for name, panel in panels.items()}, indent=1))
        CHART.write_text(draw([panels[name] for name in PANELS if name in panels]))
        say(f"MessageText to {path} and {CHART}")


def read(path: Path) -> dict[str, Panel]:
    """The panels of earlier runs, by name."""
    found = json.loads(path.read_text()) if path.exists() else {}
    return {
        name: Panel(
            panel["title"],
            panel["unit"],
            [Curve(curve["name"], [(size, value) for size, value in curve["points"]]) for curve in panel["curves"]],
        )
        for name, panel in found.items()
    }
