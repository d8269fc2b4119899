"""Contestants take turns, so that what the machine does besides is done to all of them."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.load import Answer, Load, Unusable, ask, one_of, press
from bench.proc import cpu_ms
from bench.targets import Request

ROUNDS = 3
TURN_SECONDS = 4


@dataclass(frozen=True)
class Contestant:
    name: str
    url: str
    request: Request
    floor: str = ""
    """The name of the contestant that this one is compared with."""
    web: Callable[[], Sequence[int]] = tuple
    database: Callable[[], Sequence[int]] = tuple
    statements: int | None = None


@dataclass(frozen=True)
class Turn:
    per_second: float
    p50: float  # milliseconds, as the others
    p95: float
    p99: float
    web_ms: float
    """CPU of the web workers for a request; `database_ms` that of PostgreSQL."""
    database_ms: float


@dataclass
class Figures:
    name: str
    floor: str = ""
    statements: int | None = None
    size: int = 0
    turns: list[Turn] = field(default_factory=list)

    def median(self, what: str) -> float:
        return statistics.median(getattr(turn, what) for turn in self.turns)


def rotate(contestants: Sequence[Contestant], seconds: int, rounds: int = ROUNDS) -> dict[str, Figures]:
    figures = {}
    for one in contestants:
        answer = answer_of(one)
        figures[one.name] = Figures(one.name, one.floor, one.statements, answer.size)
    for _ in range(rounds):
        for one in contestants:
            figures[one.name].turns.append(take_turn(one, seconds))
    return figures


def answer_of(contestant: Contestant) -> Answer:
    """Before it is measured: a sign-in page is answered quickly too."""
    answer = ask(contestant.url, one_of(contestant.request))
    expected = {"GET": {200}, "POST": {200, 201, 204, 302, 303}}[contestant.request.method]
    if answer.status not in expected:
        raise Unusable(f"{contestant.name} was answered {answer.status}: {answer.body[:300]!r}")
    return answer


def take_turn(contestant: Contestant, seconds: int, concurrency: int | None = None) -> Turn:
    web, database = contestant.web(), contestant.database()
    before = cpu_ms(web), cpu_ms(database)
    load: Load = press(
        contestant.url, contestant.request, seconds, **({"concurrency": concurrency} if concurrency else {})
    )
    after = cpu_ms(web), cpu_ms(contestant.database())
    if load.errors:
        raise Unusable(f"{contestant.name}: {load.errors} of {load.requests} requests failed.")
    answered = max(load.requests, 1)
    return Turn(
        load.per_second,
        load.p50,
        load.p95,
        load.p99,
        (after[0] - before[0]) / answered,
        (after[1] - before[1]) / answered,
    )


def ratio(figures: Mapping[str, Figures], one: str, other: str, what: str = "per_second") -> float | None:
    """The median of the ratios of each round; None where one of them was not measured."""
    if one not in figures or other not in figures:
        return None
    rounds = zip(figures[one].turns, figures[other].turns, strict=True)
    return statistics.median(getattr(mine, what) / getattr(theirs, what) for mine, theirs in rounds)


def as_json(figures: Mapping[str, Figures]) -> list[dict[str, Any]]:
    return [asdict(one) for one in figures.values()]
