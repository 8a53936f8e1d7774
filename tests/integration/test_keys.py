"""A key ring over several processes: which key signs when, and which are accepted."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from time import monotonic

import asyncpg
import pytest

from frontrow.keys import ring as module
from frontrow.keys.ring import KeyRing, NewKey, describe, end, open_ring, rotate
from testkit.database import Database
from tests.buyers import pass_time

PURPOSE = "token"


def key(name: str) -> NewKey:
    """Returns a new key."""
    return NewKey(name, secrets.token_bytes(32))


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[asyncpg.Pool]:
    """Connections of the application."""
    async with asyncpg.create_pool(database.app_url, min_size=1, max_size=5) as made:
        yield made


async def states(pool: asyncpg.Pool) -> dict[str, str]:
    """Returns the current state of each key."""
    return {row.key_id: row.state for row in await describe(pool, PURPOSE)}


async def test_concurrent_opens_create_one_key(pool: asyncpg.Pool) -> None:
    """When several processes open the ring concurrently, there is one key, and it signs."""
    rings = await asyncio.gather(*(open_ring(pool, PURPOSE, key(f"k{n}")) for n in range(10)))
    assert len({ring.signing.key_id for ring in rings}) == 1
    assert list((await states(pool)).values()) == ["signing"]
    assert not await rings[0].refresh()


async def test_new_key_signs_from_its_time_on(pool: asyncpg.Pool, database: Database) -> None:
    """A coming key is known and doesn't sign; later it signs, and the old one is still accepted."""
    ring = await open_ring(pool, PURPOSE, key("old"))
    await rotate(pool, PURPOSE, key("new"), lead_seconds=60)
    assert await ring.refresh()
    assert set(ring.keys) == {"old", "new"}
    assert ring.signing.key_id == "old"
    assert await states(pool) == {"old": "signing", "new": "coming"}
    await pass_time(database, 61)
    await ring.refresh()
    assert ring.signing.key_id == "new"
    assert await states(pool) == {"old": "accepted", "new": "signing"}


async def test_coming_key_takes_over_without_a_read(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring that has read a coming key signs with it from its time on, by its own clock."""
    ring = await open_ring(pool, PURPOSE, key("old"))
    await rotate(pool, PURPOSE, key("new"), lead_seconds=60)
    await ring.refresh()
    now = monotonic()
    monkeypatch.setattr(module, "monotonic", lambda: now + 59)
    assert ring.signing.key_id == "old"
    monkeypatch.setattr(module, "monotonic", lambda: now + 61)
    assert ring.signing.key_id == "new"
    assert set(ring.keys) == {"old", "new"}


async def test_retired_key_is_refused(pool: asyncpg.Pool) -> None:
    """Its signatures are refused; retiring it again changes nothing."""
    ring = await open_ring(pool, PURPOSE, key("old"))
    await rotate(pool, PURPOSE, key("new"), lead_seconds=0)
    assert await end(pool, PURPOSE, "old") == "retired"
    before = await describe(pool, PURPOSE)
    assert await end(pool, PURPOSE, "old") == "retired"
    assert await describe(pool, PURPOSE) == before
    assert await states(pool) == {"old": "retired", "new": "signing"}
    assert await ring.refresh()
    assert set(ring.keys) == {"new"}
    assert await ring.find("old") is None


async def test_signing_key_cannot_be_retired(pool: asyncpg.Pool) -> None:
    """Nor can a key that doesn't exist or has another purpose."""
    await open_ring(pool, PURPOSE, key("old"))
    await rotate(pool, PURPOSE, key("coming"), lead_seconds=60)
    assert await end(pool, PURPOSE, "old") == "signing"
    assert await end(pool, PURPOSE, "none") == "not_found"
    assert await end(pool, "ticket", "old") == "not_found"
    assert await end(pool, PURPOSE, "coming") == "retired"
    assert await states(pool) == {"old": "signing", "coming": "retired"}


async def test_unknown_key_is_read_once_a_second(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key just added elsewhere is found; a missing one is read at most once a second."""
    ring = await open_ring(pool, PURPOSE, key("old"))
    reads = 0
    read = KeyRing._read

    async def counted(self: KeyRing) -> bool:
        nonlocal reads
        reads += 1
        return await read(self)

    monkeypatch.setattr(KeyRing, "_read", counted)
    await rotate(pool, PURPOSE, key("new"), lead_seconds=60)
    assert await ring.find("new") is None  # it was read just now
    now = monotonic()
    monkeypatch.setattr(module, "monotonic", lambda: now + module.REFRESH_SECONDS)
    found = await asyncio.gather(*(ring.find("new") for _ in range(20)))
    assert {one.key_id for one in found if one} == {"new"}
    assert reads == 1
    assert await asyncio.gather(*(ring.find(f"k{n}") for n in range(20))) == [None] * 20
    assert reads == 1


def test_secret_is_not_shown() -> None:
    """The printed form of a key does not contain its secret."""
    assert "secret" not in repr(NewKey("k", b"the secret" * 4))
