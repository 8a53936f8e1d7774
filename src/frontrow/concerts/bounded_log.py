"""The newest entries of a list that is kept in order of its keys: 12 bytes each."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class Journal:
    """Numbers under keys that mostly grow. The oldest are dropped beyond ``most`` of them.

    Args:
        most: at least so many of the newest are kept.
    """

    __slots__ = ("_floor", "_keys", "_most", "_numbers")

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys = array("q")
        self._numbers = array("i")
        self._floor = 0

    def add(self, key: int, number: int) -> None:
        """Enters a number; a key below the newest is put in its place."""
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
        """Of keys below ``floor`` something may be missing."""
        self._floor = max(self._floor, floor)

    def since(self, key: int) -> Iterable[int] | None:
        """The numbers under this key and later ones; None where some of them were dropped."""
        if key < self._floor:
            return None
        return self._numbers[bisect_left(self._keys, key) :]

    def _drop(self, entries: int) -> None:
        self.cut(self._keys[entries - 1] + 1)
        del self._keys[:entries], self._numbers[:entries]
