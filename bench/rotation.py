"""Contestants take turns, so that disturbances of the machine affect all of them alike."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.load import BenchError, Load, Response, run_wrk, send, single_request
from bench.proc import cpu_ms
from bench.targets import Request

# Many short turns: a disturbance of a few seconds then affects few of the ratios.
ROUNDS = 6
TURN_SECONDS = 2


@dataclass(frozen=True)
class Contestant:
    name: str
    url: str
    request: Request
    floor: str = ""
    """The name of the floor that this one is compared with."""
    web: Callable[[], Sequence[int]] = tuple
    database: Callable[[], Sequence[int]] = tuple
    statements: int | None = None  # SQL statements of the request


@dataclass(frozen=True)
class Turn:
    per_second: float
    p50: float  # milliseconds, like the next two
    p95: float
    p99: float
    web_ms: float  # CPU time of the web workers per request
    database_ms: float  # CPU time of PostgreSQL per request


@dataclass
class Figures:
    name: str
    floor: str = ""
    statements: int | None = None
    size: int = 0
    turns: list[Turn] = field(default_factory=list)

    def median(self, what: str) -> float:
        """The median of all turns; `what` is the name of a field of Turn."""
        return statistics.median(getattr(turn, what) for turn in self.turns)


def rotate(contestants: Sequence[Contestant], seconds: int, rounds: int = ROUNDS) -> dict[str, Figures]:
    """Measure each contestant once in each round, for `seconds`. Raises BenchError if a request fails."""
    figures = {}
    for contestant in contestants:
        response = check_response(contestant)
        figures[contestant.name] = Figures(contestant.name, contestant.floor, contestant.statements, response.size)
    for number in range(rounds):
        # Every other round is reversed, so that coming later is no advantage.
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            figures[contestant.name].turns.append(take_turn(contestant, seconds))
    return figures


def check_response(contestant: Contestant) -> Response:
    """Send the request once before it is measured: a redirect to the sign-in page would be fast, too."""
    response = send(contestant.url, single_request(contestant.request))
    expected = {"GET": {200}, "POST": {200, 201, 204, 302, 303}}[contestant.request.method]
    if response.status not in expected:
        raise BenchError(f"{contestant.name} returned {response.status}: {response.body[:300]!r}")
    return response


def take_turn(contestant: Contestant, seconds: int, concurrency: int | None = None) -> Turn:
    """Measure one contestant for `seconds`. Raises BenchError if a request fails."""
    web, database = contestant.web(), contestant.database()
    before = cpu_ms(web), cpu_ms(database)
    load: Load = run_wrk(
        contestant.url, contestant.request, seconds, **({"concurrency": concurrency} if concurrency else {})
    )
    after = cpu_ms(web), cpu_ms(contestant.database())
    if load.errors:
        raise BenchError(f"{contestant.name}: {load.errors} of {load.requests} requests failed.")
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
    """The median of the ratios of all rounds; None if one of the two was not measured. `what`: a field of Turn."""
    if one not in figures or other not in figures:
        return None
    rounds = zip(figures[one].turns, figures[other].turns, strict=True)
    return statistics.median(getattr(mine, what) / getattr(theirs, what) for mine, theirs in rounds)


def as_json(figures: Mapping[str, Figures]) -> list[dict[str, Any]]:
    return [asdict(figure) for figure in figures.values()]
