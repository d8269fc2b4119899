"""The table of the fault runs, printed at the end of a test run."""

from dataclasses import asdict
from typing import Any

from tests.fault_runs.figures import Figures

PROPERTY = "fault run"  # the user property with a test's figures, which pytest-xdist passes to the main process

HEADINGS = (
    *("runs", "messages", "decisions", "(no mail)", "deliveries", "mails", "lost", "doubled"),
    *("in window", "kills", "retried", "stored before", "slowest post", "99 of 100", "last mail"),
)


def recorded(name: str, figures: Figures) -> tuple[str, dict[str, Any]]:
    return name, asdict(figures)


def table(rows: list[tuple[str, dict[str, Any]]]) -> list[str]:
    width = max(len(name) for name, _ in rows) + 2
    lines = ["".ljust(width) + "".join(heading.rjust(len(heading) + 2) for heading in HEADINGS)]
    for name, figures in rows:
        cells = _cells(Figures(**figures))
        lines.append(
            name.ljust(width)
            + "".join(cell.rjust(len(heading) + 2) for cell, heading in zip(cells, HEADINGS, strict=True))
        )
    return lines


def _cells(figures: Figures) -> list[str]:
    return [
        *map(str, (figures.runs, figures.messages, figures.decisions, figures.suppressed)),
        *map(str, (figures.deliveries, figures.mails, figures.lost, figures.doubled)),
        *map(str, (figures.doubled_in_window, figures.kills, figures.failed_attempts)),
        str(figures.stored_unanswered),
        *(f"{seconds:.2f} s" for seconds in (figures.slowest_post, figures.slowest_percent)),
        f"{figures.last_mail:.1f} s",
    ]
