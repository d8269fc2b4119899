"""What was measured, for the terminal."""

from collections.abc import Mapping, Sequence

from bench.goals import Verdict
from bench.rotation import Figures, ratio


def of_figures(figures: Mapping[str, Figures]) -> str:
    head = (
        f"{'':34}{'to floor':>9}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>8}{'DB ms':>8}{'SQL':>5}{'bytes':>9}"
    )
    return "\n".join([head, *(_line(one, figures) for one in figures.values())])


def _line(one: Figures, figures: Mapping[str, Figures]) -> str:
    to_floor = ratio(figures, one.name, one.floor)
    return (
        f"{one.name:34}{'' if to_floor is None else f'{to_floor:.3f}':>9}{one.median('per_second'):>9,.0f}"
        f"{one.median('p50'):>9.1f}{one.median('p99'):>9.1f}{one.median('web_ms'):>8.2f}{one.median('database_ms'):>8.2f}"
        f"{'' if one.statements is None else one.statements:>5}{one.size:>9,}"
    )


def of_single(single: Mapping[str, float]) -> str:
    return "\n".join(f"{name:34}{value:>12,.1f}" for name, value in single.items())


def of_verdicts(verdicts: Sequence[Verdict]) -> str:
    return "\n".join(
        f"{one.goal.id}  {one.goal.what:44}{_number(one):>12}  goal {'≤' if one.goal.at_most else '≥'} "
        f"{one.goal.bound:g}{one.goal.unit:4} {one.in_words}"
        for one in verdicts
    )


def _number(verdict: Verdict) -> str:
    return "" if verdict.value is None else f"{verdict.value:,.3g}{verdict.goal.unit}"
