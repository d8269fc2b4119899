"""Formats the results for the terminal."""

from collections.abc import Mapping, Sequence

from bench.goals import Verdict
from bench.rotation import Figures, ratio


def of_figures(figures: Mapping[str, Figures]) -> str:
    head = (
        f"{'':34}{'to floor':>9}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>8}{'DB ms':>8}{'SQL':>5}{'bytes':>9}"
    )
    return "\n".join([head, *(_line(row, figures) for row in figures.values())])


def _line(row: Figures, figures: Mapping[str, Figures]) -> str:
    to_floor = ratio(figures, row.name, row.floor)
    return (
        f"{row.name:34}{'' if to_floor is None else f'{to_floor:.3f}':>9}{row.median('per_second'):>9,.0f}"
        f"{row.median('p50'):>9.1f}{row.median('p99'):>9.1f}{row.median('web_ms'):>8.2f}{row.median('database_ms'):>8.2f}"
        f"{'' if row.statements is None else row.statements:>5}{row.size:>9,}"
    )


def of_single(single: Mapping[str, float]) -> str:
    return "\n".join(f"{name:34}{value:>12,.1f}" for name, value in single.items())


def of_verdicts(verdicts: Sequence[Verdict]) -> str:
    return "\n".join(
        f"{verdict.goal.id}  {verdict.goal.what:44}{_number(verdict):>12}  goal {'≤' if verdict.goal.at_most else '≥'} "
        f"{verdict.goal.bound:g}{verdict.goal.unit:4} {verdict.in_words}"
        for verdict in verdicts
    )


def _number(verdict: Verdict) -> str:
    return "" if verdict.value is None else f"{verdict.value:,.3g}{verdict.goal.unit}"
