"""Sessions of users who sign in at an issuer: they end, and each sign-in gives one."""

import asyncio
import secrets
from uuid import UUID, uuid4

from frontrow.errors import CredentialInvalid, SignInFailed
from frontrow.services import Services
from frontrow.users.queries import SessionItem
from frontrow.users.remembered import RememberedKeys
from frontrow.users.service import KEY_PREFIX, MOST_KEYS, SESSION_PREFIX, Users, new_key
from testkit.database import Database
from tests.buyers import Owner, pass_time, refused, services_on
from tests.integration.features.keys import is_known

WEEK = 604_800


def a_sign_in() -> bytes:
    """Returns the digest of an unused sign-in."""
    return secrets.token_bytes(32)


async def opened(users: Users, user_id: UUID, seconds: int = WEEK) -> str:
    """Returns the key of a new session."""
    return (await users.open_session(user_id, a_sign_in(), seconds)).user_key


async def test_session_is_accepted_until_its_end(services: Services, database: Database) -> None:
    """Its account is created once; its key is accepted in every process until its end."""
    user_id = uuid4()
    keys = [await opened(services.users, user_id, 600) for _ in range(2)]
    assert all(key.startswith(SESSION_PREFIX) for key in keys)
    async with services_on(database) as other:
        assert {await other.users.user_of(key) for key in keys} == {user_id}
    await pass_time(database, 570)
    async with services_on(database) as other:
        assert await is_known(other.users, keys[0])
    await pass_time(database, 31)
    async with services_on(database) as later:
        assert not await is_known(later.users, keys[0])


async def test_cached_session_ends(services: Services, database: Database) -> None:
    """A process that has verified a session's key drops it at its end."""
    user_id, now = uuid4(), [0.0]
    known = RememberedKeys(10, now=lambda: now[0])
    services.users._known = known
    key = await opened(services.users, user_id, 600)
    guest = await services.users.add_guest()
    assert await services.users.user_of(key) == user_id
    assert len(known) == 2
    now[0] = 599
    await pass_time(database, 601)
    assert await is_known(services.users, key)  # the control: it is cached
    now[0] = 601
    assert not await is_known(services.users, key)
    assert await is_known(services.users, guest.user_key)
    assert len(known) == 1


async def test_sign_in_gives_one_session(
    services: Services, database: Database, owner: Owner
) -> None:
    """Of many concurrent uses, in two processes and for two users, one gets a session."""
    sign_in, users = a_sign_in(), [uuid4(), uuid4()]
    async with services_on(database) as other:
        done = await asyncio.gather(
            *(
                process.users.open_session(user_id, sign_in, WEEK)
                for process in (services, other)
                for user_id in users * 5
            ),
            return_exceptions=True,
        )
    refusals = [one for one in done if isinstance(one, SignInFailed)]
    assert [refusal.reason for refusal in refusals] == ["expired"] * 19
    assert len(done) - len(refusals) == 1
    assert await owner.fetchval("SELECT count(*) FROM user_key") == 1


async def test_repeated_batch_gets_the_same_session(services: Services, owner: Owner) -> None:
    """After a lost connection: the session exists, and no second one."""
    item = SessionItem(uuid4(), secrets.token_bytes(32), a_sign_in(), WEEK)
    another = SessionItem(item.user_id, secrets.token_bytes(32), item.sign_in, WEEK)
    for _ in range(2):
        rows = await services.users._open_sessions([item, another])
        assert [row.outcome for row in rows] == ["opened", "used"]
    assert await owner.fetchval("SELECT count(*) FROM user_key") == 1


async def test_oldest_sessions_are_ended(services: Services, database: Database) -> None:
    """Above the limit the oldest end, in every process; other users' and user keys stay."""
    user_id = uuid4()
    others = await opened(services.users, uuid4())
    lasting = (await services.users.add_guest()).user_key
    await services.users.add_account(user_id)
    reissued = new_key()
    await services.users.reissue_key(user_id, reissued)
    keys = [await opened(services.users, user_id) for _ in range(MOST_KEYS)]
    async with services_on(database) as other:
        assert await is_known(other.users, keys[0])
        keys.append(await opened(services.users, user_id))
        assert await is_known(other.users, keys[0])  # the control: not read yet
        await other.users.read_revocations()
        assert not await is_known(other.users, keys[0])
        for key in (*keys[1:], others, lasting, reissued):
            assert await is_known(other.users, key)


async def test_sign_out_ends_the_session(services: Services, database: Database) -> None:
    """At once in that process, in others with their next read; a guest's key is unaffected."""
    user_id = uuid4()
    key, kept = [await opened(services.users, user_id) for _ in range(2)]
    guest = await services.users.add_guest()
    async with services_on(database) as other:
        assert await is_known(other.users, key)
        for _ in range(2):
            await services.users.end_session(key)
        for nobodys in (guest.user_key, SESSION_PREFIX + "nobody's"):
            await services.users.end_session(nobodys)
        await other.users.read_revocations()
        for process in (services, other):
            known = [await is_known(process.users, each) for each in (key, kept, guest.user_key)]
            assert known == [False, True, True]


async def test_exchanged_key_ends_with_its_session(services: Services, database: Database) -> None:
    """Exchanged or kept beside it, it has the session's end; ended ones can't be exchanged."""
    user_id = uuid4()
    key = await opened(services.users, user_id, 600)
    second = await services.users.exchange_key(user_id, key, keep=True)
    third = await services.users.exchange_key(user_id, second.user_key, keep=False)
    assert third.user_key.startswith(KEY_PREFIX)
    await pass_time(database, 601)
    async with services_on(database) as later:
        assert not await is_known(later.users, third.user_key)
    async with refused(database, CredentialInvalid):
        await services.users.exchange_key(user_id, key, keep=True)
    reissued, _ = await services.users.reissue_key(user_id, new_key())
    assert await is_known(services.users, reissued.user_key)


async def test_kept_key_ends_with_its_session(services: Services, database: Database) -> None:
    """Signing out revokes the keys made from the session, in every process; other keys stay."""
    user_id = uuid4()
    key, other = [await opened(services.users, user_id) for _ in range(2)]
    kept = (await services.users.exchange_key(user_id, key, keep=True)).user_key
    later = (await services.users.exchange_key(user_id, kept, keep=True)).user_key
    others = (await services.users.exchange_key(user_id, other, keep=True)).user_key
    async with services_on(database) as process:
        for each in (kept, later, others):
            assert await is_known(process.users, each)  # the control: it remembers them
        await services.users.end_session(key)
        await process.users.read_revocations()
        for users in (services.users, process.users):
            known = [await is_known(users, each) for each in (key, kept, later, other, others)]
            assert known == [False, False, False, True, True]


async def test_key_exchanged_for_a_session_ends_with_it(services: Services) -> None:
    """Signing out with the exchanged key of a session revokes its successor; a kept key as well."""
    user_id = uuid4()
    key = await opened(services.users, user_id)
    kept = (await services.users.exchange_key(user_id, key, keep=True)).user_key
    successor = (await services.users.exchange_key(user_id, key, keep=False)).user_key
    assert await is_known(services.users, kept)
    assert await is_known(services.users, successor)
    await services.users.end_session(key)
    assert not await is_known(services.users, kept)
    assert not await is_known(services.users, successor)


async def test_kept_key_ends_with_a_dropped_session(services: Services) -> None:
    """The oldest session that a new one ends takes the keys made from it with it."""
    user_id = uuid4()
    oldest = await opened(services.users, user_id)
    kept = (await services.users.exchange_key(user_id, oldest, keep=True)).user_key
    for _ in range(MOST_KEYS - 1):
        await opened(services.users, user_id)
    assert not await is_known(services.users, oldest)
    assert not await is_known(services.users, kept)


async def test_guest_ends_the_key_on_request(services: Services, database: Database) -> None:
    """The key is revoked in every process; another key of the guest stays."""
    guest = await services.users.add_guest()
    second = await services.users.exchange_key(guest.user_id, guest.user_key, keep=True)
    async with services_on(database) as other:
        assert await is_known(other.users, guest.user_key)
        await services.users.end_session(guest.user_key, lasting=True)
        await other.users.read_revocations()
        for process in (services, other):
            assert not await is_known(process.users, guest.user_key)
            assert await is_known(process.users, second.user_key)


async def test_erased_user_gets_no_session(services: Services, database: Database) -> None:
    """The existing sessions of an erased user end, too."""
    user_id = uuid4()
    key = await opened(services.users, user_id)
    await services.erasures.erase(user_id)
    assert not await is_known(services.users, key)
    async with refused(database, CredentialInvalid):
        await opened(services.users, user_id)


async def test_ended_sessions_are_deleted(
    services: Services, database: Database, owner: Owner
) -> None:
    """When the user signs in again, some time later; not others', nor keys without an end."""
    user_id, other = uuid4(), uuid4()
    await services.users.end_session(await opened(services.users, user_id, 600))
    await opened(services.users, user_id, 600)
    await services.users.reissue_key(user_id, new_key())
    await opened(services.users, other, 600)
    counts = "SELECT count(*) FROM user_key WHERE user_id = $1"
    await pass_time(database, 3_600)
    await opened(services.users, user_id)
    assert await owner.fetchval(counts, user_id) == 4
    await pass_time(database, 1_200)
    await opened(services.users, user_id)
    assert await owner.fetchval(counts, user_id) == 3
    assert await owner.fetchval(counts, other) == 1
