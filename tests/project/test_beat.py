"""Celery beat starts the sweeper. Nothing may stop it for long."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from celery.beat import Scheduler
from celery.utils.imports import symbol_by_name
from django.conf import settings

from ippex_messenger.celery import app

HOUR = timedelta(hours=1)
# Far from 04:00, when Celery's own clean-up is due.
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
UNTIL_DUE = timedelta(seconds=settings.SWEEP_SECONDS + 1)


@pytest.fixture
def start_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Scheduler]]:
    """Starts beat with the project's settings, each time with the same schedule file; it sends no tasks."""
    monkeypatch.setattr(Scheduler, "apply_entry", lambda *args, **options: None)
    monkeypatch.setattr(Scheduler, "producer", None)
    scheduler = symbol_by_name(app.conf.beat_scheduler)
    started: list[Scheduler] = []

    def start() -> Scheduler:
        for earlier in started:
            earlier.close()
        started[:] = [scheduler(app=app, schedule_filename=str(tmp_path / "schedule"))]
        return started[0]

    yield start
    started[0].close()


def run_due(beat: Scheduler) -> set[str]:
    """Let beat run every entry that is due now; returns their names."""
    before = {name: entry.total_run_count for name, entry in beat.schedule.items()}
    while beat.tick() == 0:
        pass
    return {name for name, entry in beat.schedule.items() if entry.total_run_count > before[name]}


ALL_ENTRIES = set(settings.CELERY_BEAT_SCHEDULE)


def test_every_entry_runs_again_and_again(start_beat: Callable[[], Scheduler]) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        beat = start_beat()
        for _ in range(3):
            clock.shift(UNTIL_DUE)
            assert run_due(beat) == ALL_ENTRIES
            assert run_due(beat) == set(), "once, or the test proves nothing"


def test_a_clock_set_back_does_not_stop_beat(start_beat: Callable[[], Scheduler]) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        beat = start_beat()
        clock.shift(UNTIL_DUE)
        assert run_due(beat) == ALL_ENTRIES
        clock.shift(-HOUR)
        assert beat.tick() <= settings.SWEEP_SECONDS, "beat wakes up as soon as usual"
        for _ in range(3):
            clock.shift(UNTIL_DUE)
            assert run_due(beat) == ALL_ENTRIES


def test_a_clock_set_back_while_beat_was_not_running_does_not_stop_it(start_beat: Callable[[], Scheduler]) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        beat = start_beat()
        clock.shift(UNTIL_DUE)
        assert run_due(beat) == ALL_ENTRIES
        clock.shift(-HOUR)
        beat = start_beat()
        run_due(beat)
        clock.shift(UNTIL_DUE)
        assert run_due(beat) == ALL_ENTRIES
