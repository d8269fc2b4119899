"""The performance goals of docs/performance.md, and whether they are met."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.rotation import Figures, ratio


@dataclass
class Results:
    figures: dict[str, Figures]
    single: dict[str, float] = field(default_factory=dict)
    """Values that are measured once, not in turns: streams, mails, memory."""


@dataclass(frozen=True)
class Goal:
    id: str
    what: str
    bound: float
    value: Callable[[Results], float | None]
    at_most: bool = False
    unit: str = ""
    about: tuple[str, ...] = ()
    """What to analyse if the goal is not met: names of contestants or of values in `Results.single`."""

    def is_met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


@dataclass(frozen=True)
class Verdict:
    goal: Goal
    value: float | None
    """None if it was not measured in this run."""

    @property
    def in_words(self) -> str:
        return "not measured" if self.value is None else "met" if self.goal.is_met(self.value) else "NOT MET"


def judge(goals: Sequence[Goal], results: Results) -> list[Verdict]:
    return [Verdict(goal, goal.value(results)) for goal in goals]


def unmet(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.value is not None and not verdict.goal.is_met(verdict.value)]


def _throughput(id_: str, what: str, bound: float, one: str, other: str) -> Goal:
    """`one` must answer at least `bound` times as many requests a second as `other`."""
    return Goal(id_, what, bound, lambda results: ratio(results.figures, one, other), unit="×", about=(one, other))


def _statements(what: str, bound: int, name: str) -> Goal:
    def value(results: Results) -> float | None:
        return results.figures[name].statements if name in results.figures else None

    return Goal("P5", f"SQL statements, {what}", bound, value, at_most=True, about=(name,))


def _same_statements(what: str, *names: str) -> Goal:
    def value(results: Results) -> float | None:
        counts = [results.figures[name].statements or 0 for name in names if name in results.figures]
        return max(counts) - min(counts) if counts else None

    return Goal("P5", f"SQL statements more for {what}", 0, value, at_most=True, about=names)


def _single(id_: str, what: str, bound: float, name: str, unit: str, at_most: bool = True) -> Goal:
    return Goal(id_, what, bound, lambda results: results.single.get(name), at_most=at_most, unit=unit, about=(name,))


def _single_ratio(id_: str, what: str, bound: float, one: str, other: str, at_most: bool = True) -> Goal:
    def value(results: Results) -> float | None:
        measured: Mapping[str, float] = results.single
        return measured[one] / measured[other] if one in measured and other in measured else None

    return Goal(id_, what, bound, value, at_most=at_most, unit="×", about=(one, other))


FLOOR_PAGE, FLOOR_WRITE = "floor A: constant page", "floor P: insert + update"
THREAD, TOPICS, POST = "thread page", "topic list, 5,000 topics", "post"
SEARCH_FEW, SEARCH_MANY = "search that finds few", "search that finds many"
THREAD_FEW, TOPICS_FEW = "thread page, reader of 50 topics", "topic list, 50 topics"
PAGES = ("last", "middle", "first")
POST_5, POST_5000 = "post to 5 members", "post to 5,000 members"
WORKER, BARE_WORKER = "worker KiB", "bare worker KiB"
STREAMS, MAILS = ("streams p99", "stream KiB", "subscriptions"), "mails a second"
POST_SHORT, POST_LONG = "post into 1,000 messages", "post into 1,000,000 messages"


def page(where: str, length: int) -> str:
    return f"{where} page of {length:,} messages"


def peer(name: str, what: str) -> str:
    return f"{name}: {what}"


def _search(name: str) -> Goal:
    def value(results: Results) -> float | None:
        return ratio(results.figures, name, THREAD, "p95")

    return Goal("P8", f"{name}, p95 / thread page", 5, value, at_most=True, unit="×", about=(name, THREAD))


def _pages() -> list[Goal]:
    return [
        _throughput("P2", f"{where} page, 1,000,000 / 1,000 messages", 0.95, page(where, 1_000_000), page(where, 1_000))
        for where in PAGES
    ]


GOALS: tuple[Goal, ...] = (
    _throughput("P1", "thread page / floor A", 0.10, THREAD, FLOOR_PAGE),
    _throughput("P1", "thread page / Spirit", 35, THREAD, peer("spirit", THREAD)),
    _throughput("P1", "thread page / machina", 35, THREAD, peer("machina", THREAD)),
    _throughput("P1", "thread page / Synapse's JSON", 5, THREAD, peer("synapse", THREAD)),
    *_pages(),
    _throughput("P3", "topic list / floor A", 0.08, TOPICS, FLOOR_PAGE),
    _throughput("P3", "topic list / Spirit", 15, TOPICS, peer("spirit", "topic list")),
    _throughput("P3", "topic list, 5,000 / 50 topics", 0.90, TOPICS, TOPICS_FEW),
    _throughput("P4", "post / floor P", 0.50, POST, FLOOR_WRITE),
    _throughput("P4", "post / Spirit", 4, POST, peer("spirit", POST)),
    _throughput("P4", "post, 5,000 / 5 members", 0.95, POST_5000, POST_5),
    _throughput("P4", "post, 1,000,000 / 1,000 messages", 0.95, POST_LONG, POST_SHORT),
    _statements("thread page", 6, THREAD),
    _statements("topic list", 6, TOPICS),
    _statements("post", 9, POST),
    _same_statements("longer threads", *[page(where, length) for where in PAGES for length in (1_000, 1_000_000)]),
    _same_statements("more topics", TOPICS, TOPICS_FEW),
    _same_statements("more members", POST_5, POST_5000),
    _single_ratio("P6", "1,000 streams, p99 until shown / floor S", 1.3, "streams p99", "floor S p99"),
    _single("P6", "1,000 streams, p99 until shown", 100, "streams p99", "ms"),
    _single("P6", "memory of a stream", 80, "stream KiB", "KiB"),
    _single("P6", "Redis subscriptions of the process", 1, "subscriptions", ""),
    _single_ratio(
        "P7", "mails to 5,000 members / floor M", 0.3, "mails a second", "floor M mails a second", at_most=False
    ),
    _search(SEARCH_FEW),
    _search(SEARCH_MANY),
    _single_ratio("P9", "memory of a web worker / bare Django", 1.3, WORKER, BARE_WORKER),
)
