"""The rule of a draw once more, as docs/reference/draw.md has it, to hold Frontrow's own against.

Nothing of Frontrow's is used for it, and nothing but SHA-256.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from uuid import UUID


def sum_of(text: str) -> str:
    """A SHA-256 sum in hexadecimal."""
    return sha256(text.encode("ascii")).hexdigest()


def entries_of(places: Iterable[UUID]) -> list[str]:
    """The entries of places."""
    return [sum_of(str(place)) for place in places]


def digest_of(entries: Iterable[str]) -> str:
    """The digest of entries by number."""
    return sum_of("".join(entry + "\n" for entry in entries))


def order_of(seed: str, entries: Sequence[str]) -> list[int]:
    """The numbers in the order in which they are served."""
    digest = digest_of(entries)
    numbers = range(1, len(entries) + 1)
    return sorted(numbers, key=lambda number: sum_of(f"{seed}:{digest}:{number}"))


def positions_of(seed: str, entries: Sequence[str]) -> list[int]:
    """The positions of the numbers 1.., in their order."""
    order = order_of(seed, entries)
    return [order.index(number) + 1 for number in range(1, len(entries) + 1)]
