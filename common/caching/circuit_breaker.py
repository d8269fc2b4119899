import time


class CircuitBreaker:
    """Remembers for `seconds` that a server was unavailable, so that not every request waits to find out again."""

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


# One for the whole process: cache, queue and live updates use the same Redis.
redis_breaker = CircuitBreaker(seconds=3)
