from typing import Any

from celery.beat import PersistentScheduler


class SteadyScheduler(PersistentScheduler):
    """Celery's scheduler, made safe against a clock that is set back.

    Celery waits until the clock has passed the last run again. After the clock was set back by an hour, nothing would
    be swept for an hour.
    """

    def tick(self, *args: Any, **options: Any) -> float:
        now = self.app.now()
        if any((entry.last_run_at or now) > now for entry in self.schedule.values()):
            for entry in self.schedule.values():
                entry.last_run_at = now
            self._heap = None  # ordered by the old clock; `tick` rebuilds it
        return float(super().tick(*args, **options))
