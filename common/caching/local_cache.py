"""A cache in the process's memory. A key contains everything that its value depends on, so entries never go stale."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class LocalCache(Generic[V]):
    """Holds values with a total size of at most `max_size`, and evicts the least recently used first.

    The unit is that of the sizes passed to `put`: bytes, characters or, by default, entries.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._size = 0
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._changing = Lock()  # threads share the cache; `get` needs no lock, because it does not change the size

    def get(self, key: Hashable) -> V | None:
        try:
            self._values.move_to_end(key)
            return self._values[key][0]
        except KeyError:  # missing, or evicted by another thread after the line above
            return None

    def put(self, key: Hashable, value: V, size: int = 1) -> None:
        """Set or replace the value of this key. Every entry has a size of at least 1, because keys take memory too.

        A value larger than the whole cache is not stored.
        """
        size = max(size, 1)
        with self._changing:
            _, replaced_size = self._values.pop(key, (None, 0))
            self._size -= replaced_size
            if size > self._max_size:
                return
            self._values[key] = value, size
            self._size += size
            while self._size > self._max_size:
                _, (_, evicted_size) = self._values.popitem(last=False)
                self._size -= evicted_size

    def clear(self) -> None:
        with self._changing:
            self._values.clear()
            self._size = 0
