from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fault_runs.driver import Driver, running_driver
from tests.fault_runs.figures import Figures
from tests.fault_runs.report import PROPERTY, recorded

MOST_LONG_RUNS = 3

Check = Callable[[str, Figures], Figures]


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    with running_driver(tmp_path) as driver:
        yield driver


@pytest.fixture
def runs(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--fault-runs"))


@pytest.fixture
def long_runs(runs: int) -> int:
    return min(runs, MOST_LONG_RUNS)


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Callable[[str, Figures], None]:
    """Adds a row of figures to the table at the end of the test run."""
    return lambda name, figures: record_property(PROPERTY, recorded(name, figures))


@pytest.fixture
def check(record: Callable[[str, Figures], None]) -> Check:
    """Adds figures to the table, and fails if anything was lost, doubled or wrong."""

    def check(name: str, figures: Figures) -> Figures:
        record(name, figures)
        assert figures.messages, "messages were posted, or the test proves nothing"
        assert figures.flaws == []
        return figures

    return check
