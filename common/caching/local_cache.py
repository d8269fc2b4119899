"""What was made once and is worth having again, kept in the process by all that it depends on."""

from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class LocalCache(Generic[V]):
    """Holds values of `most` in size together. Beyond that all are forgotten: the busy ones are back at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._values: dict[Hashable, V] = {}

    def get(self, key: Hashable) -> V | None:
        return self._values.get(key)

    def put(self, key: Hashable, value: V, size: int = 1) -> None:
        """Nothing is without size: keys take room, too. What is larger than all there may be is not kept."""
        size = max(size, 1)
        if size > self._most:
            return
        if self._size + size > self._most:
            self.clear()
        self._values[key] = value
        self._size += size

    def clear(self) -> None:
        self._values.clear()
        self._size = 0
