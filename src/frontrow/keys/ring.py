"""A key ring: the keys of one purpose, as one process knows them.

A key is *coming* until its time, then it is the one that is *signing*; once a later one signs, it
is *accepted*: what it has signed goes on working, until it is *retired*. Each process reads the
ring again and again (``refresh``), and at once when it meets a key that it doesn't know (``find``).
A new key is therefore known everywhere before it signs, if it is added with some lead.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Literal, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg

from frontrow.db.queries import load
from frontrow.errors import outcome_error
from frontrow.ids import new_id

REFRESH_SECONDS = 1.0
"""How often a process reads a ring again, and the shortest time between two looks for a key."""

_queries = load("frontrow.keys")

Database: TypeAlias = "asyncpg.Pool | asyncpg.Connection[Any]"


@dataclass(frozen=True)
class NewKey:
    """A key to be added. The secret has at least 32 bytes."""

    key_id: str
    secret: bytes = field(repr=False)
    public_key: bytes | None = None


@dataclass(frozen=True)
class SigningKey(NewKey):
    """A key that signs, has signed, or is going to."""

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
        """Which key signs from when on, by the monotonic clock; in that order."""
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    @property
    def keys(self) -> Mapping[str, SigningKey]:
        """The keys by their ids: what these have signed is accepted."""
        return self._keys

    @property
    def signing(self) -> SigningKey:
        """The key that signs now."""
        while len(self._signing) > 1 and self._signing[1][0] <= monotonic():
            del self._signing[0]
        return self._signing[0][1]

    async def find(self, key_id: str) -> SigningKey | None:
        """The key of this id, even if it was added just now; ``None`` if it isn't on the ring."""
        if key_id not in self._keys:
            async with self._reading:
                if key_id not in self._keys and monotonic() - self._read_at >= REFRESH_SECONDS:
                    await self._read()
        return self._keys.get(key_id)

    async def refresh(self) -> bool:
        """Reads the ring. Returns whether other keys are on it than before."""
        async with self._reading:
            return await self._read()

    async def _read(self) -> bool:
        started = monotonic()
        rows = await _queries.keys_of(self._pool, purpose=self._purpose)
        before, self._read_at = self._keys, started
        self._keys = {
            row["key_id"]: SigningKey(
                row["key_id"], row["secret"], row["public_key"], signs_at=row["signs_at"]
            )
            for row in rows
        }
        self._signing = [
            (started + (row["signs_at"] - row["now"]).total_seconds(), self._keys[row["key_id"]])
            for row in rows
        ]
        return self._keys != before


async def open_ring(pool: asyncpg.Pool, purpose: str, first: NewKey) -> KeyRing:
    """The ring of a purpose; the first process to ask puts ``first`` on it, to sign at once."""
    await _add(pool, purpose, first, new_id(), lead_seconds=0, first=True)
    ring = KeyRing(pool, purpose)
    await ring.refresh()
    return ring


class Rotated(NamedTuple):
    """The key that a rotation added, and whether it had been added before."""

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
        IdempotencyKeyReused: that id added a key of another purpose.
    """
    done = await _add(
        database, purpose, new, write_id or new_id(), lead_seconds=lead_seconds, first=False
    )
    if done["outcome"] not in ("added", "replayed"):
        raise outcome_error(done["outcome"], None)
    return Rotated(done["key_id"], done["signs_at"], done["outcome"] == "replayed")


async def end(
    database: Database, purpose: str, key_id: str
) -> Literal["retired", "not_found", "signing"]:
    """Ends a key: what it has signed is refused from now on. Not the one that signs."""
    outcome: Literal["retired", "not_found", "signing"] = await _queries.retire_key(
        database, purpose=purpose, key_id=key_id
    )
    return outcome


async def retire_old(database: Database, purpose: str, *, overlap_seconds: float) -> int:
    """Ends the keys that have had a successor for so long. Returns how many."""
    ended: int = await _queries.retire_old_keys(
        database, purpose=purpose, overlap_seconds=overlap_seconds
    )
    return ended


async def describe(database: Database, purpose: str) -> list[asyncpg.Record]:
    """All keys of a purpose: key_id, public_key, signs_at, retired_at, state; no secrets."""
    rows: list[asyncpg.Record] = await _queries.described_keys(database, purpose=purpose)
    return rows


async def _add(
    database: Database,
    purpose: str,
    key: NewKey,
    write_id: UUID,
    *,
    lead_seconds: float,
    first: bool,
) -> asyncpg.Record:
    done: asyncpg.Record = await _queries.add_key(
        database,
        write_id=write_id,
        purpose=purpose,
        key_id=key.key_id,
        secret=key.secret,
        public_key=key.public_key,
        lead_seconds=lead_seconds,
        first=first,
    )
    return done
