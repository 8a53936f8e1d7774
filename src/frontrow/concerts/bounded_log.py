"""A bounded log: the newest entries of a list ordered by key, 12 bytes each."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class BoundedLog:
    """Numbers under keys that mostly grow. Beyond ``most`` entries, the oldest are dropped.

    Args:
        most: at least this many of the newest entries are kept.
    """

    __slots__ = ("_floor", "_keys", "_most", "_numbers")

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys = array("q")
        self._numbers = array("i")
        self._floor = 0

    def add(self, key: int, number: int) -> None:
        """Adds a number, in order of its key."""
        if not self._keys or key >= self._keys[-1]:
            self._keys.append(key)
            self._numbers.append(number)
        else:
            at = bisect_right(self._keys, key)
            self._keys.insert(at, key)
            self._numbers.insert(at, number)
        if len(self._keys) > 2 * self._most:
            self._drop(len(self._keys) - self._most)

    def cut(self, floor: int) -> None:
        """Marks the entries below ``floor`` as incomplete."""
        self._floor = max(self._floor, floor)

    def since(self, key: int) -> Iterable[int] | None:
        """Returns the numbers under this key and later ones; ``None`` if entries are missing."""
        if key < self._floor:
            return None
        return self._numbers[bisect_left(self._keys, key) :]

    def _drop(self, entries: int) -> None:
        self.cut(self._keys[entries - 1] + 1)
        del self._keys[:entries], self._numbers[:entries]
