"""Celery beat, which sets off the sweeper: nothing may stop it for long."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from celery.beat import Scheduler
from celery.utils.imports import symbol_by_name
from django.conf import settings
from django.utils import timezone

from ippex_messenger.celery import app

HOUR = timedelta(hours=1)
A_SWEEP = timedelta(seconds=settings.SWEEP_SECONDS + 1)


@pytest.fixture
def start_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Scheduler]]:
    """Beat as the settings say, on the same file each time; it sends nothing."""
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


def set_off(beat: Scheduler) -> set[str]:
    """What is due by the clock as it is, set off."""
    before = {name: entry.total_run_count for name, entry in beat.schedule.items()}
    while beat.tick() == 0:
        pass
    return {name for name, entry in beat.schedule.items() if entry.total_run_count > before[name]}


EVERYTHING = set(settings.CELERY_BEAT_SCHEDULE)


def test_everything_is_set_off_again_and_again(start_beat: Callable[[], Scheduler]) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        beat = start_beat()
        for _ in range(3):
            clock.shift(A_SWEEP)
            assert set_off(beat) == EVERYTHING
            assert set_off(beat) == set(), "once, or the test proves nothing"


def test_a_clock_set_back_stops_nothing(start_beat: Callable[[], Scheduler]) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        beat = start_beat()
        clock.shift(A_SWEEP)
        assert set_off(beat) == EVERYTHING
        clock.shift(-HOUR)
        assert beat.tick() <= settings.SWEEP_SECONDS, "it looks again as soon as ever"
        for _ in range(3):
            clock.shift(A_SWEEP)
            assert set_off(beat) == EVERYTHING


def test_a_clock_set_back_while_beat_was_not_running_stops_nothing(start_beat: Callable[[], Scheduler]) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        beat = start_beat()
        clock.shift(A_SWEEP)
        assert set_off(beat) == EVERYTHING
        clock.shift(-HOUR)
        beat = start_beat()
        set_off(beat)
        clock.shift(A_SWEEP)
        assert set_off(beat) == EVERYTHING
