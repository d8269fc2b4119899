import time


class CircuitBreaker:
    """Remembers for some seconds that a server was away, so that not every request waits to find out again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def trip(self) -> None:
        self._open_until = time.monotonic() + self._seconds

    def reset(self) -> None:
        self._open_until = 0.0


# One per process, for cache, queue and live announcements: all three live in the same Redis.
redis_breaker = CircuitBreaker(seconds=3)
