"""A key ring: the keys of one purpose, as one process knows them.

A key is *coming* until its time, then it is *signing*; once a later one signs, it is *accepted*:
its signatures stay valid until it is *retired*. Each process reads the ring regularly
(``refresh``), and at once when it meets an unknown key (``find``). A key that is added with some
lead is therefore known everywhere before it signs.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Literal, NamedTuple
from uuid import UUID

import asyncpg

from frontrow.db.outcomes import check
from frontrow.db.queries import Database
from frontrow.ids import new_id
from frontrow.keys.queries import AddKeyRow, DescribedKeyRow, queries

REFRESH_SECONDS = 1.0
"""How often a process reads a ring, and the shortest time between two look-ups of unknown keys."""


@dataclass(frozen=True)
class NewKey:
    """A key to be added. The secret has at least 32 bytes."""

    key_id: str
    secret: bytes = field(repr=False)
    public_key: bytes | None = None


@dataclass(frozen=True)
class SigningKey(NewKey):
    """A key that has signed, signs or will sign."""

    signs_at: datetime = field(kw_only=True)


class KeyRing:
    """The keys of one purpose that aren't retired.

    Before the first ``refresh`` it is empty.
    """

    def __init__(self, pool: asyncpg.Pool, purpose: str) -> None:
        self._pool = pool
        self._purpose = purpose
        self._keys: dict[str, SigningKey] = {}
        self._signing: list[tuple[float, SigningKey]] = []
        """The keys with the time from which each signs, by the monotonic clock; in that order."""
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    @property
    def keys(self) -> Mapping[str, SigningKey]:
        """The keys by id: their signatures are accepted."""
        return self._keys

    @property
    def signing(self) -> SigningKey:
        """The key that signs now."""
        while len(self._signing) > 1 and self._signing[1][0] <= monotonic():
            del self._signing[0]
        return self._signing[0][1]

    async def find(self, key_id: str) -> SigningKey | None:
        """Returns the key of this id, even if it is new; ``None`` if it isn't on the ring."""
        if key_id not in self._keys:
            async with self._reading:
                if key_id not in self._keys and monotonic() - self._read_at >= REFRESH_SECONDS:
                    await self._read()
        return self._keys.get(key_id)

    async def refresh(self) -> bool:
        """Reads the ring. Returns whether its keys have changed."""
        async with self._reading:
            return await self._read()

    async def _read(self) -> bool:
        started = monotonic()
        rows = await queries.keys_of(self._pool, purpose=self._purpose)
        before, self._read_at = self._keys, started
        self._keys = {
            row.key_id: SigningKey(row.key_id, row.secret, row.public_key, signs_at=row.signs_at)
            for row in rows
        }
        self._signing = [
            (started + (row.signs_at - row.now).total_seconds(), self._keys[row.key_id])
            for row in rows
        ]
        return self._keys != before


async def open_ring(pool: asyncpg.Pool, purpose: str, first: NewKey) -> KeyRing:
    """Returns the ring of a purpose. On an empty one, ``first`` signs at once."""
    await _add(pool, purpose, first, new_id(), lead_seconds=0, first=True)
    ring = KeyRing(pool, purpose)
    await ring.refresh()
    return ring


class Rotated(NamedTuple):
    """The key that a rotation added, and whether it is a replay."""

    key_id: str
    signs_at: datetime
    replayed: bool


async def rotate(
    database: Database,
    purpose: str,
    new: NewKey,
    write_id: UUID | None = None,
    *,
    lead_seconds: float,
) -> Rotated:
    """Adds a key that takes over in ``lead_seconds``, once for each ``write_id``.

    Raises:
        IdempotencyKeyReused: the id belongs to a key of another purpose.
    """
    done = await _add(
        database, purpose, new, write_id or new_id(), lead_seconds=lead_seconds, first=False
    )
    check(done)
    return Rotated(done.key_id, done.signs_at, done.outcome == "replayed")


async def end(
    database: Database, purpose: str, key_id: str
) -> Literal["retired", "not_found", "signing"]:
    """Retires a key: its signatures are refused from now on. Keeps the signing key."""
    return await queries.retire_key(database, purpose=purpose, key_id=key_id)


async def retire_old(database: Database, purpose: str, *, overlap_seconds: float) -> int:
    """Retires the keys whose successor has signed for ``overlap_seconds``. Returns their number."""
    return await queries.retire_old_keys(database, purpose=purpose, overlap_seconds=overlap_seconds)


async def describe(database: Database, purpose: str) -> list[DescribedKeyRow]:
    """Returns all keys of a purpose, without their secrets."""
    return await queries.described_keys(database, purpose=purpose)


async def _add(
    database: Database,
    purpose: str,
    key: NewKey,
    write_id: UUID,
    *,
    lead_seconds: float,
    first: bool,
) -> AddKeyRow:
    return await queries.add_key(
        database,
        write_id=write_id,
        purpose=purpose,
        key_id=key.key_id,
        secret=key.secret,
        public_key=key.public_key,
        lead_seconds=lead_seconds,
        first=first,
    )
