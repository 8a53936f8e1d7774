"""A second implementation of the draw of docs/reference/draw.md, to compare Frontrow's with.

It uses nothing of Frontrow, and only SHA-256.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from uuid import UUID


def sum_of(text: str) -> str:
    """Returns a SHA-256 sum in hexadecimal."""
    return sha256(text.encode("ascii")).hexdigest()


def entries_of(places: Iterable[UUID]) -> list[str]:
    """Returns the entries of places."""
    return [sum_of(str(place)) for place in places]


def digest_of(entries: Iterable[str]) -> str:
    """Returns the digest of entries by number."""
    return sum_of("".join(entry + "\n" for entry in entries))


def order_of(seed: str, entries: Sequence[str]) -> list[int]:
    """Returns the numbers in serving order."""
    digest = digest_of(entries)
    numbers = range(1, len(entries) + 1)
    return sorted(numbers, key=lambda number: sum_of(f"{seed}:{digest}:{number}"))


def positions_of(seed: str, entries: Sequence[str]) -> list[int]:
    """Returns the positions of the numbers from 1 on, in their order."""
    order = order_of(seed, entries)
    return [order.index(number) + 1 for number in range(1, len(entries) + 1)]
