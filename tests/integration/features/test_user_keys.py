"""User keys: exchanged, revoked, reissued; what a process remembers doesn't outlive that."""

import asyncio
from uuid import uuid4

import pytest

from frontrow.errors import CredentialInvalid, IdempotencyKeyReused, KeyLimit, NotFound
from frontrow.services import Services
from frontrow.users.service import MOST_KEYS, new_key
from testkit.database import Database
from tests.buyers import Owner, refused, services_on
from tests.integration.features.keys import is_known


async def test_a_key_is_exchanged(services: Services) -> None:
    """The new key works, the one that was asked with doesn't, at once on this process."""
    guest = await services.users.add_guest()
    issued = await services.users.exchange_key(guest.user_id, guest.user_key, keep=False)
    assert issued.user_id == guest.user_id
    assert await services.users.user_of(issued.user_key) == guest.user_id
    assert not await is_known(services.users, guest.user_key)


async def test_a_key_may_be_kept(services: Services) -> None:
    """Both keys work until the other is revoked with the new one."""
    guest = await services.users.add_guest()
    issued = await services.users.exchange_key(guest.user_id, guest.user_key, keep=True)
    assert await is_known(services.users, guest.user_key)
    await services.users.revoke_keys(guest.user_id, kept=issued.user_key)
    assert await is_known(services.users, issued.user_key)
    assert not await is_known(services.users, guest.user_key)


async def test_keys_of_a_user_are_bounded(services: Services, database: Database) -> None:
    """No more than so many can be kept; a plain exchange goes on."""
    guest = await services.users.add_guest()
    for _ in range(MOST_KEYS - 1):
        await services.users.exchange_key(guest.user_id, guest.user_key, keep=True)
    async with refused(database, KeyLimit, limit=MOST_KEYS):
        await services.users.exchange_key(guest.user_id, guest.user_key, keep=True)
    await services.users.exchange_key(guest.user_id, guest.user_key, keep=False)


async def test_a_lost_key_is_reissued(services: Services, database: Database) -> None:
    """All keys before it end, those of others don't; nobody gets none."""
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
    """Then none works, and the account is still there for a new one."""
    guest = await services.users.add_guest()
    await services.users.revoke_keys(guest.user_id)
    assert not await is_known(services.users, guest.user_key)
    issued, _ = await services.users.reissue_key(guest.user_id, new_key())
    assert await services.users.user_of(issued.user_key) == guest.user_id
    async with refused(database, NotFound):
        await services.users.revoke_keys(uuid4())


async def test_a_revoked_key_can_do_nothing_with_keys(
    services: Services, database: Database
) -> None:
    """Also not where a process hasn't heard of it yet: the database decides."""
    guest = await services.users.add_guest()
    async with services_on(database) as other:
        assert await is_known(other.users, guest.user_key)
        await services.users.exchange_key(guest.user_id, guest.user_key, keep=False)
        assert await is_known(other.users, guest.user_key)  # the control: it hasn't heard yet
        async with refused(database, CredentialInvalid):
            await other.users.exchange_key(guest.user_id, guest.user_key, keep=True)
        async with refused(database, CredentialInvalid):
            await other.users.revoke_keys(guest.user_id, kept=guest.user_key)


async def test_other_processes_hear_of_it(services: Services, database: Database) -> None:
    """They forget the key at their next look, and only that one."""
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


async def test_a_look_up_under_way_is_not_remembered(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that read the key before it was revoked, and answers after the process heard of that."""
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
        looking = asyncio.create_task(other.users.user_of(guest.user_key))
        await read.wait()
        await services.users.revoke_keys(guest.user_id)
        await other.users.read_revocations()
        heard.set()
        assert await looking == guest.user_id  # it began before the key was revoked
        assert len(other.users._known) == 0
        assert not await is_known(other.users, guest.user_key)


async def test_exchanged_once(services: Services, database: Database, owner: Owner) -> None:
    """Of many that exchange the same key at once, over two processes, one gets a new one."""
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


async def test_a_key_that_was_given_is_given_again(services: Services, database: Database) -> None:
    """It revokes nothing then, also where the user has let it go since; nobody else gets it."""
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


async def test_one_key_for_two_users_at_once(services: Services) -> None:
    """One gets it; the other keeps what it has."""
    guests = [await services.users.add_guest() for _ in range(8)]
    key = new_key()
    found = await asyncio.gather(
        *(services.users.reissue_key(guest.user_id, key) for guest in guests),
        return_exceptions=True,
    )
    assert [type(one) for one in found].count(IdempotencyKeyReused) == len(guests) - 1
    known = [await is_known(services.users, guest.user_key) for guest in guests]
    assert known == [isinstance(one, IdempotencyKeyReused) for one in found]
