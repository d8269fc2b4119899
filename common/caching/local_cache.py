"""What was made once and is worth having again, kept in the process by all that it depends on."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class LocalCache(Generic[V]):
    """Holds values of at most `most` in size together; the least recently used go first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._changing = Lock()  # between threads; `get` needs no lock, it leaves the size alone

    def get(self, key: Hashable) -> V | None:
        try:
            self._values.move_to_end(key)
            return self._values[key][0]
        except KeyError:  # missing, or evicted by another thread since the line above
            return None

    def put(self, key: Hashable, value: V, size: int = 1) -> None:
        """Replaces the value of this key. Each entry has a size of at least 1, since keys take memory too.

        A value larger than the limit is not kept.
        """
        size = max(size, 1)
        with self._changing:
            _, replaced = self._values.pop(key, (None, 0))
            self._size -= replaced
            if size > self._most:
                return
            self._values[key] = value, size
            self._size += size
            while self._size > self._most:
                _, (_, gone) = self._values.popitem(last=False)
                self._size -= gone

    def clear(self) -> None:
        with self._changing:
            self._values.clear()
            self._size = 0
