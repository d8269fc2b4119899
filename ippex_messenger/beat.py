from typing import Any

from celery.beat import PersistentScheduler


class SteadyScheduler(PersistentScheduler):
    """Celery's own, but for a clock that is set back.

    Celery waits until the clock is past the last run again: set back by an hour, nothing would be swept for an hour.
    """

    def tick(self, *args: Any, **options: Any) -> float:
        now = self.app.now()
        if any((entry.last_run_at or now) > now for entry in self.schedule.values()):
            for entry in self.schedule.values():
                entry.last_run_at = now
            self._heap = None  # it is ordered by the clock of before
        return float(super().tick(*args, **options))
