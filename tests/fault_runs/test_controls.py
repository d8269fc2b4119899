"""The same faults without a safeguard: the driver notices losses and duplicates, or the other tests prove nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fault_runs.driver import Driver, running_driver
from tests.fault_runs.figures import Figures

pytestmark = pytest.mark.fault_runs

PATIENCE_SECONDS = 15  # a sweep would come earlier

Record = Callable[[str, Figures], None]


@contextmanager
def driver_without(safeguard: str, folder: Path) -> Iterator[Driver]:
    settings = "tests.fault_runs.controls.settings"
    with running_driver(folder, DJANGO_SETTINGS_MODULE=settings, WITHOUT=safeguard) as driver:
        yield driver


def test_without_the_outbox_mails_are_lost(tmp_path: Path, record: Record) -> None:
    with driver_without("outbox", tmp_path) as driver:
        figures = driver.repeat(driver.empty_queue, runs=1, patience=PATIENCE_SECONDS)
    record("CONTROL no outbox: Valkey emptied", figures)
    assert figures.mails, "mails are sent at all, or the control proves nothing"
    assert figures.lost > 0


def test_without_claims_mails_are_doubled(tmp_path: Path, record: Record) -> None:
    with driver_without("row_lock", tmp_path) as driver:
        figures = driver.repeat(driver.sweep_many_times_at_once, runs=1)
    record("CONTROL no claim: many sweeps at once", figures)
    assert figures.doubled > 0
    assert not figures.lost


def test_without_the_topic_lock_posts_fail(tmp_path: Path, record: Record) -> None:
    with driver_without("topic_lock", tmp_path) as driver:
        figures = driver.repeat(lambda: driver.post_together(times=5), runs=1)
    record("CONTROL no topic lock: posts at once", figures)
    assert figures.failed_attempts or figures.flaws
