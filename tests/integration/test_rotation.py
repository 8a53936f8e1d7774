"""Rotation of the keys of queue tokens while processes sign and verify them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest

from frontrow.errors import CredentialInvalid, IdempotencyKeyReused, KeyInUse, NotFound
from frontrow.ids import PlaceRef
from frontrow.keys import ring
from frontrow.keys.ring import retire_old, rotate
from frontrow.rotation import key_states, retire_key, rotate_key
from frontrow.services import Services
from frontrow.upkeep.keys import retire_old_keys
from frontrow.waiting_room.token import PURPOSE, TokenSigner, UnknownKey, new_key
from testkit.database import Database
from tests.buyers import pass_time, services_on

PLACE = PlaceRef(UUID(int=1), UUID(int=2), 1, 7, UUID(int=3), datetime(2026, 5, 4, tzinfo=UTC))


@pytest.fixture
async def pair(database: Database) -> AsyncIterator[tuple[Services, Services]]:
    """Two processes, whose key rings are read when a test says so."""
    async with services_on(database) as one, services_on(database) as other:
        yield one, other


def token_of(services: Services) -> bytes:
    """Returns a token that a process signs now."""
    return services.signer.sign(PLACE).encode()


@asynccontextmanager
async def refreshing(*signers: TokenSigner) -> AsyncIterator[None]:
    """Reads the rings repeatedly, as the upkeep does but ten times as often."""

    async def refresh() -> None:
        while True:
            await asyncio.gather(*(signer.refresh() for signer in signers))
            await asyncio.sleep(ring.REFRESH_SECONDS / 10)

    task = asyncio.create_task(refresh())
    try:
        yield
    finally:
        task.cancel()


async def test_live_tokens_are_accepted_during_a_rotation(pair: tuple[Services, Services]) -> None:
    """Two processes sign without a pause and verify each other's tokens, old and new ones."""
    one, other = pair
    first = token_of(one)
    lead_seconds = ring.REFRESH_SECONDS / 2
    async with refreshing(one.signer, other.signer), asyncio.timeout(60):
        await rotate(one.pool, PURPOSE, new_key(), lead_seconds=lead_seconds)
        tokens = {first}
        reads = 0
        while len(tokens) < 2 or reads < 1_000:
            for signing, reading in ((one, other), (other, one)):
                token = token_of(signing)
                tokens.add(token)
                # Without a query: the process has read the key by then.
                assert reading.signer.verify(token) == PLACE
                assert reading.signer.verify(first) == PLACE
                reads += 1
            await asyncio.sleep(0.001)
    assert len(tokens) == 2  # one for each key: the same claims, signed twice


async def test_control_key_that_signs_at_once_is_unknown(
    pair: tuple[Services, Services],
) -> None:
    """Without the lead time, a process that has just read its ring refuses the new tokens."""
    one, other = pair
    await rotate(one.pool, PURPOSE, new_key(), lead_seconds=0)
    await one.signer.refresh()
    with pytest.raises(UnknownKey):
        other.signer.verify(token_of(one))
    with pytest.raises(CredentialInvalid):
        await other.signer.read(token_of(one))


async def test_unknown_key_is_read_from_the_database(
    pair: tuple[Services, Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has missed a rotation reads the ring again, and then accepts the token."""
    one, other = pair
    await rotate(one.pool, PURPOSE, new_key(), lead_seconds=0)
    await one.signer.refresh()
    monkeypatch.setattr(ring, "REFRESH_SECONDS", 0.0)  # its last read is long ago
    assert await other.signer.read(token_of(one)) == PLACE
    assert other.signer.verify(token_of(one)) == PLACE


async def test_retired_key_is_refused_after_a_read(pair: tuple[Services, Services]) -> None:
    """After the next read of the ring its tokens are refused; other tokens aren't."""
    one, other = pair
    old = token_of(one)
    assert other.signer.verify(old) == PLACE
    (key,) = [state for state in await key_states(one.pool) if state.purpose == PURPOSE]
    with pytest.raises(KeyInUse):
        await retire_key(one.pool, key.key_id)
    await rotate(one.pool, PURPOSE, new_key(), lead_seconds=0)
    await one.signer.refresh()
    await retire_key(one.pool, key.key_id)
    assert other.signer.verify(old) == PLACE  # the control: it is cached
    await other.signer.refresh()
    with pytest.raises(CredentialInvalid):
        await other.signer.read(old)
    assert other.signer.verify(token_of(one)) == PLACE
    with pytest.raises(NotFound):
        await retire_key(one.pool, "0" * 8)


async def test_repeated_rotation_adds_no_key(pair: tuple[Services, Services]) -> None:
    """Also in another process concurrently; another purpose with its key is refused."""
    found = await asyncio.gather(
        *(rotate_key(services.pool, "token", "key") for services in pair for _ in range(4))
    )
    assert len({key.key_id for key, _ in found}) == 1
    assert sorted(replayed for _, replayed in found) == [False] + [True] * 7
    with pytest.raises(IdempotencyKeyReused):
        await rotate_key(pair[0].pool, "ticket", "key")
    other, replayed = await rotate_key(pair[0].pool, "token", "another")
    assert (other.state, replayed) == ("coming", False)
    assert other.key_id != found[0][0].key_id


async def test_old_keys_are_retired_automatically(database: Database) -> None:
    """After the retention following their replacement, not before; never the signing key."""
    async with services_on(database, token_key_overlap_seconds=60) as services:
        await rotate_key(services.pool, "token")
        await pass_time(database, 30)
        assert await retire_old_keys(services) == 0
        await pass_time(database, 40)
        assert await retire_old_keys(services) == 1
        assert await retire_old_keys(services) == 0
        assert await retire_old(services.pool, PURPOSE, overlap_seconds=0) == 0
        states = [s.state for s in await key_states(services.pool) if s.purpose == PURPOSE]
        assert states == ["retired", "signing"]
    async with services_on(database, token_key_overlap_seconds=0) as services:
        await rotate_key(services.pool, "token")
        await pass_time(database, 10**7)
        assert await retire_old_keys(services) == 0
