"""Analyses each goal that was not met: where the time of its page goes, or the memory, measured in the same run."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from bench.goals import BARE_WORKER, MAILS, STREAMS, WORKER, Results, Verdict, unmet
from bench.targets import Request

PARTS_SHOWN = 10
STATEMENTS_SHOWN = 9
SQL_SHOWN = 80

Analysis = Callable[[], Iterable[str]]  # yields lines of text; may take a while


def remains(verdicts: Sequence[Verdict], results: Results, requests: Mapping[str, Request]) -> Iterator[str]:
    """Lines of text about the goals that were not met. `requests`: the product's own contestants, by name."""
    return analyse_unmet(verdicts, analyses_for(results, requests))


def analyse_unmet(verdicts: Sequence[Verdict], analyses: Mapping[str, Analysis]) -> Iterator[str]:
    """Run the analyses of the goals that were not met, each only once."""
    done: set[str] = set()
    for verdict in unmet(verdicts):
        yield f"\n{verdict.goal.id}  {verdict.goal.what}: what remains"
        for name in verdict.goal.about:
            if name in done:
                yield f"  {name}: see above"
            elif name in analyses:
                yield from (f"  {line}" for line in analyses[name]())
                done.add(name)


def analyses_for(results: Results, requests: Mapping[str, Request]) -> dict[str, Analysis]:
    """An analysis for each name that a goal may have in `Goal.about`."""

    def page(name: str, request: Request) -> Analysis:
        return lambda: _page(name, request, results)

    return {
        **{name: page(name, request) for name, request in requests.items()},
        **dict.fromkeys(STREAMS, lambda: _stages(results)),
        MAILS: lambda: _mails(results),
        WORKER: lambda: _memory(results, list(requests.values())),
    }


def _page(name: str, request: Request, results: Results) -> Iterator[str]:
    from bench.profiles import cost_of

    if name in results.figures:
        figures = results.figures[name]
        yield (
            f"{name}, {figures.size:,} bytes: under load CPU of Python {figures.median('web_ms'):.2f} ms, "
            f"of PostgreSQL {figures.median('database_ms'):.2f}"
        )
    cost = cost_of(request)
    yield f"in one process without load {cost.wall:.2f} ms, of which CPU of Python {cost.cpu:.2f}:"
    yield from _table(list(cost.parts.items()), PARTS_SHOWN)
    waited = sum(took for _, took in cost.statements)
    yield f"and {waited:.2f} until PostgreSQL had answered {len(cost.statements)} statements:"
    yield from _table([(_abbreviate(sql), took) for sql, took in cost.statements], STATEMENTS_SHOWN)


def _table(rows: Sequence[tuple[str, float]], limit: int) -> Iterator[str]:
    """The largest `limit` rows, and the sum of the others."""
    largest = sorted(rows, key=lambda row: row[1], reverse=True)
    yield from (f"  {took:6.2f}  {what}" for what, took in largest[:limit])
    if rest := largest[limit:]:
        yield f"  {sum(took for _, took in rest):6.2f}  {len(rest)} others"


def _abbreviate(sql: str) -> str:
    sql = re.sub(r"^EXECUTE (\w+).*", r"\1 (prepared)", sql, flags=re.DOTALL)
    sql = re.sub(r"^(\(?SELECT) .*? (FROM .*)", r"\1 … \2", sql, flags=re.DOTALL)
    return sql.replace('"', "")[:SQL_SHOWN]


def _stages(results: Results) -> Iterator[str]:
    single = results.single
    for what in ("p50", "p99"):
        ours, floor = single[f"streams {what}"], single[f"floor S {what}"]
        yield f"{what}: shown after {ours:.0f} ms, the floor's after {floor:.0f}"
    arrived = single["streams p99 until the event"]
    yield f"of the p99 {arrived:.0f} ms until the event has come, the rest until it is shown"


def _mails(results: Results) -> Iterator[str]:
    ours, floor = (1000 / results.single[name] for name in (MAILS, f"floor M {MAILS}"))
    yield f"a mail takes {ours:.2f} ms, of which sending it (the floor) {floor:.2f}; CPU of a mail:"
    used = [(name, took) for name, took in results.single.items() if name.endswith("CPU ms a mail")]
    yield from _table(used, PARTS_SHOWN)


def _memory(results: Results, requests: Sequence[Request]) -> Iterator[str]:
    from bench.memory import memory_of

    ours, bare = (results.single[name] / 1024 for name in (WORKER, BARE_WORKER))
    yield f"a worker after its turns {ours:.1f} MiB, a bare one {bare:.1f}"
    memory = memory_of(requests)
    yield "a process of its own that loads and answers the same, MiB:"
    before = 0.0
    for step, size in memory.steps.items():
        yield f"  {size:6.1f}  {size - before:+6.1f}  {step}"
        before = size
    yield "of that, as Python counts it, imported beyond what bare Django imports:"
    yield f"  {_list(memory.imported)}"
    yield "and retained after the requests, by the module that allocated it:"
    yield f"  {_list(memory.retained)}"


def _list(sizes: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {size:.1f}" for name, size in sizes.items() if size >= 0.05)
