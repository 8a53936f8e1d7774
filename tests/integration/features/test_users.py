"""Guest accounts and their keys."""

import asyncio
import hashlib

import pytest

from frontrow.errors import CredentialInvalid
from frontrow.services import Services
from frontrow.users.queries import GuestItem
from frontrow.users.remembered import RememberedKeys
from frontrow.users.service import KEY_PREFIX
from testkit.database import Database
from tests.buyers import Owner, refused, services_on


async def test_guest_is_found_by_the_key(services: Services) -> None:
    """The issued key identifies its user."""
    guest = await services.users.add_guest()
    assert guest.user_key.startswith(KEY_PREFIX)
    assert len(guest.user_key) == len(KEY_PREFIX) + 43  # 256 bits in base64url
    assert await services.users.user_of(guest.user_key) == guest.user_id


async def test_every_process_accepts_the_key(services: Services, database: Database) -> None:
    """A process that didn't create the account reads it."""
    guest = await services.users.add_guest()
    async with services_on(database) as other:
        assert await other.users.user_of(guest.user_key) == guest.user_id
        assert await other.users.user_of(guest.user_key) == guest.user_id


async def test_only_the_hash_is_stored(services: Services, owner: Owner) -> None:
    """The database's content is not enough to act as a user."""
    guest = await services.users.add_guest()
    row = await owner.fetchrow("SELECT * FROM user_key JOIN app_user USING (user_id)")
    assert row["user_id"] == guest.user_id
    assert row["key_hash"] == hashlib.sha256(guest.user_key.encode()).digest()
    assert guest.user_key.encode() not in row["key_hash"]


@pytest.mark.parametrize("key", ["", "frk_", "frk_" + "A" * 43, "ключ", "frk_\x00"])
async def test_unknown_key_is_refused(services: Services, database: Database, key: str) -> None:
    """Each time it is used."""
    await services.users.add_guest()
    for _ in range(2):
        async with refused(database, CredentialInvalid):
            await services.users.user_of(key)


async def test_many_accounts_in_one_batch(services: Services, owner: Owner) -> None:
    """Accounts of one batch are distinct, and are found in one batch."""
    guests = await asyncio.gather(*[services.users.add_guest() for _ in range(300)])
    assert len({guest.user_id for guest in guests}) == 300
    assert len({guest.user_key for guest in guests}) == 300
    assert await owner.fetchval("SELECT count(*) FROM app_user") == 300
    services.users._known = RememberedKeys(1_000)
    found = await asyncio.gather(*[services.users.user_of(guest.user_key) for guest in guests])
    assert found == [guest.user_id for guest in guests]


async def test_repeated_batch_adds_each_account_once(services: Services, owner: Owner) -> None:
    """After a lost connection the same accounts are sent again, and stored once."""
    batch = [
        GuestItem((await services.users.add_guest()).user_id, hashlib.sha256(bytes([at])).digest())
        for at in range(3)
    ]
    await services.users._add(batch)
    assert await owner.fetchval("SELECT count(*) FROM app_user") == 3


async def test_cache_of_keys_is_bounded(database: Database) -> None:
    """The oldest is dropped, and read from the database again."""
    async with services_on(database, cached_credentials=2) as services:
        guests = [await services.users.add_guest() for _ in range(4)]
        assert len(services.users._known) == 2
        assert await services.users.user_of(guests[0].user_key) == guests[0].user_id
        assert len(services.users._known) == 2
