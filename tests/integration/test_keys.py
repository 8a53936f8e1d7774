"""A key ring over several processes: who signs when, and what is accepted."""

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
    """A new key."""
    return NewKey(name, secrets.token_bytes(32))


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[asyncpg.Pool]:
    """Connections of the application."""
    async with asyncpg.create_pool(database.app_url, min_size=1, max_size=5) as made:
        yield made


async def states(pool: asyncpg.Pool) -> dict[str, str]:
    """What each key is now."""
    return {row["key_id"]: row["state"] for row in await describe(pool, PURPOSE)}


async def test_the_first_key_is_one(pool: asyncpg.Pool) -> None:
    """However many open the ring at once, there is one key, and it signs."""
    rings = await asyncio.gather(*(open_ring(pool, PURPOSE, key(f"k{n}")) for n in range(10)))
    assert len({ring.signing.key_id for ring in rings}) == 1
    assert list((await states(pool)).values()) == ["signing"]
    assert not await rings[0].refresh()


async def test_a_new_key_waits_for_its_time(pool: asyncpg.Pool, database: Database) -> None:
    """Coming, it is known and doesn't sign; then it does, and the old one is accepted."""
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


async def test_it_takes_over_without_being_read_again(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring that knows of a coming key signs with it from its time on, by its own clock."""
    ring = await open_ring(pool, PURPOSE, key("old"))
    await rotate(pool, PURPOSE, key("new"), lead_seconds=60)
    await ring.refresh()
    now = monotonic()
    monkeypatch.setattr(module, "monotonic", lambda: now + 59)
    assert ring.signing.key_id == "old"
    monkeypatch.setattr(module, "monotonic", lambda: now + 61)
    assert ring.signing.key_id == "new"
    assert set(ring.keys) == {"old", "new"}


async def test_a_retired_key_is_gone(pool: asyncpg.Pool) -> None:
    """What it has signed is refused; retiring it again changes nothing."""
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


async def test_the_signing_key_stays(pool: asyncpg.Pool) -> None:
    """It can't be retired, nor can one that isn't there or is for something else."""
    await open_ring(pool, PURPOSE, key("old"))
    await rotate(pool, PURPOSE, key("coming"), lead_seconds=60)
    assert await end(pool, PURPOSE, "old") == "signing"
    assert await end(pool, PURPOSE, "none") == "not_found"
    assert await end(pool, "ticket", "old") == "not_found"
    assert await end(pool, PURPOSE, "coming") == "retired"
    assert await states(pool) == {"old": "signing", "coming": "retired"}


async def test_an_unknown_key_is_looked_for(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that another process added just now is found; one that isn't, once a second at most."""
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


def test_a_secret_is_not_shown() -> None:
    """No key tells its secret where it is printed."""
    assert "secret" not in repr(NewKey("k", b"the secret" * 4))
