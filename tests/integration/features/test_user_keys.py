"""User keys: exchanged, revoked, reissued; and the caches of processes follow."""

import asyncio
from uuid import uuid4

import pytest

from frontrow.errors import CredentialInvalid, IdempotencyKeyReused, KeyLimit, NotFound
from frontrow.services import Services
from frontrow.users.service import MOST_KEYS, new_key
from testkit.database import Database
from tests.buyers import Owner, refused, services_on
from tests.integration.features.keys import is_known


async def test_key_is_exchanged(services: Services) -> None:
    """The new key is accepted and the old one refused, at once in this process."""
    guest = await services.users.add_guest()
    issued = await services.users.exchange_key(guest.user_id, guest.user_key, keep=False)
    assert issued.user_id == guest.user_id
    assert await services.users.user_of(issued.user_key) == guest.user_id
    assert not await is_known(services.users, guest.user_key)


async def test_old_key_can_be_kept(services: Services) -> None:
    """Both keys are accepted until the other is revoked with the new one."""
    guest = await services.users.add_guest()
    issued = await services.users.exchange_key(guest.user_id, guest.user_key, keep=True)
    assert await is_known(services.users, guest.user_key)
    await services.users.revoke_keys(guest.user_id, kept=issued.user_key)
    assert await is_known(services.users, issued.user_key)
    assert not await is_known(services.users, guest.user_key)


async def test_number_of_kept_keys_is_limited(services: Services, database: Database) -> None:
    """Above the limit no further key is added; a plain exchange still works."""
    guest = await services.users.add_guest()
    for _ in range(MOST_KEYS - 1):
        await services.users.exchange_key(guest.user_id, guest.user_key, keep=True)
    async with refused(database, KeyLimit, limit=MOST_KEYS):
        await services.users.exchange_key(guest.user_id, guest.user_key, keep=True)
    await services.users.exchange_key(guest.user_id, guest.user_key, keep=False)


async def test_lost_key_is_reissued(services: Services, database: Database) -> None:
    """All earlier keys of the user end, other users' don't; an unknown user gets none."""
    guest, other = [await services.users.add_guest() for _ in range(2)]
    kept = await services.users.exchange_key(guest.user_id, guest.user_key, keep=True)
    issued, _ = await services.users.reissue_key(guest.user_id, new_key())
    assert await is_known(services.users, issued.user_key)
    assert not await is_known(services.users, guest.user_key)
    assert not await is_known(services.users, kept.user_key)
    assert await is_known(services.users, other.user_key)
    async with refused(database, NotFound):
        await services.users.reissue_key(uuid4(), new_key())


async def test_all_keys_are_revoked(services: Services, database: Database) -> None:
    """No key is accepted, and the account can still get a new one."""
    guest = await services.users.add_guest()
    await services.users.revoke_keys(guest.user_id)
    assert not await is_known(services.users, guest.user_key)
    issued, _ = await services.users.reissue_key(guest.user_id, new_key())
    assert await services.users.user_of(issued.user_key) == guest.user_id
    async with refused(database, NotFound):
        await services.users.revoke_keys(uuid4())


async def test_revoked_key_cannot_change_keys(services: Services, database: Database) -> None:
    """Even if a process hasn't read the revocation yet: the database decides."""
    guest = await services.users.add_guest()
    async with services_on(database) as other:
        assert await is_known(other.users, guest.user_key)
        await services.users.exchange_key(guest.user_id, guest.user_key, keep=False)
        assert await is_known(other.users, guest.user_key)  # the control: not read yet
        async with refused(database, CredentialInvalid):
            await other.users.exchange_key(guest.user_id, guest.user_key, keep=True)
        async with refused(database, CredentialInvalid):
            await other.users.revoke_keys(guest.user_id, kept=guest.user_key)


async def test_other_processes_read_the_revocation(services: Services, database: Database) -> None:
    """They drop the key with their next read, and only that one."""
    guests = [await services.users.add_guest() for _ in range(3)]
    async with services_on(database) as other:
        for guest in guests:
            assert await is_known(other.users, guest.user_key)
        await services.users.revoke_keys(guests[0].user_id)
        await services.users.revoke_keys(guests[1].user_id)
        await other.users.read_revocations()
        assert [await is_known(other.users, guest.user_key) for guest in guests] == [
            False, False, True,
        ]  # fmt: skip
        assert len(other.users._known) == 1


async def test_concurrent_look_up_is_not_cached(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look-up that read the key before its revocation and returns after it."""
    guest = await services.users.add_guest()
    async with services_on(database) as other:
        read, heard = asyncio.Event(), asyncio.Event()
        find = other.users._finding._run

        async def slowly(items: list[bytes]) -> object:
            found = await find(items)
            read.set()
            await heard.wait()
            return found

        monkeypatch.setattr(other.users._finding, "_run", slowly)
        look_up = asyncio.create_task(other.users.user_of(guest.user_key))
        await read.wait()
        await services.users.revoke_keys(guest.user_id)
        await other.users.read_revocations()
        heard.set()
        assert await look_up == guest.user_id  # it began before the key was revoked
        assert len(other.users._known) == 0
        assert not await is_known(other.users, guest.user_key)


async def test_concurrent_exchanges_give_one_key(
    services: Services, database: Database, owner: Owner
) -> None:
    """Of many exchanges of one key, over two processes, one gets a new key."""
    guest = await services.users.add_guest()
    async with services_on(database) as other:
        done = await asyncio.gather(
            *(
                each.users.exchange_key(guest.user_id, guest.user_key, keep=False)
                for each in [services, other] * 10
            ),
            return_exceptions=True,
        )
    issued = [one for one in done if not isinstance(one, BaseException)]
    assert len(issued) == 1
    assert [type(one) for one in done if one is not issued[0]] == [CredentialInvalid] * 19
    live = await owner.fetchval("SELECT count(*) FROM user_key WHERE revoked_at IS NULL")
    assert live == 1
    assert await is_known(services.users, issued[0].user_key)


async def test_chosen_key_is_returned_again(services: Services, database: Database) -> None:
    """A repeat revokes nothing, also after the key was revoked; other users are refused."""
    guest, other = [await services.users.add_guest() for _ in range(2)]
    key = new_key()
    first = await services.users.reissue_key(guest.user_id, key)
    assert first[1] is False
    kept = await services.users.exchange_key(guest.user_id, key, keep=True)
    assert await services.users.reissue_key(guest.user_id, key) == (first[0], True)
    assert await is_known(services.users, kept.user_key)
    await services.users.revoke_keys(guest.user_id)
    assert await services.users.reissue_key(guest.user_id, key) == (first[0], True)
    assert not await is_known(services.users, key)
    async with refused(database, IdempotencyKeyReused):
        await services.users.reissue_key(other.user_id, key)


async def test_two_users_choose_the_same_key(services: Services) -> None:
    """One gets it; the other keeps the old one."""
    guests = [await services.users.add_guest() for _ in range(8)]
    key = new_key()
    found = await asyncio.gather(
        *(services.users.reissue_key(guest.user_id, key) for guest in guests),
        return_exceptions=True,
    )
    assert [type(one) for one in found].count(IdempotencyKeyReused) == len(guests) - 1
    known = [await is_known(services.users, guest.user_key) for guest in guests]
    assert known == [isinstance(one, IdempotencyKeyReused) for one in found]
