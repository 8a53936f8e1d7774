"""Revocations: no reader misses one, and a join that waits doesn't use a revoked key."""

import asyncio
import hashlib
from collections.abc import Sequence
from uuid import uuid4

import pytest

from frontrow.errors import CredentialInvalid
from frontrow.services import Services
from frontrow.waiting_room.queries import JoinItem
from testkit.database import Database
from tests.buyers import make_concert
from tests.races.rivals import Rivals, fetch, rivals

JOIN = "SELECT outcome FROM waiting_room_join($1, '{NULL}', ARRAY[$2::bytea], ARRAY[$3::uuid])"
READ = "SELECT coalesce(max(revocation), 0) FROM user_key"


async def test_revocations_are_numbered_as_they_commit(
    pair: tuple[Services, Services], database: Database
) -> None:
    """A revocation that begins during another one waits for it, and gets the later number."""
    first, second = [await pair[0].users.add_guest() for _ in range(2)]
    async with rivals(database) as rival:
        transaction = rival.one.transaction()
        await transaction.start()
        await rival.one.execute("SELECT FROM user_key_revoke($1, NULL)", first.user_id)
        async with rival.other_waits("SELECT (user_key_revoke($1, NULL)).outcome", second.user_id):
            assert await fetch(database, READ) == [(0,)]
            await transaction.commit()
    rows = await fetch(database, "SELECT user_id, revocation FROM user_key ORDER BY revocation")
    assert rows == [(first.user_id, 1), (second.user_id, 2)]


async def test_control_sequence_loses_a_revocation(database: Database) -> None:
    """Control: a sequence numbers before the commit, so a reader skips an invisible one."""
    async with rivals(database) as rival:
        await rival.one.execute("CREATE TABLE ended (n bigint GENERATED ALWAYS AS IDENTITY)")
        transaction = rival.one.transaction()
        await transaction.start()
        await rival.one.execute("INSERT INTO ended DEFAULT VALUES")
        await rival.other.execute("INSERT INTO ended DEFAULT VALUES")
        seen = await fetch(database, "SELECT n FROM ended")
        await transaction.commit()
        later = await fetch(database, "SELECT n FROM ended WHERE n > $1", seen[-1]["n"])
        assert (seen, later) == ([(2,)], [])
        assert await fetch(database, "SELECT count(*) FROM ended") == [(2,)]


async def wait_for_the_room(rival: Rivals, room_id: int) -> None:
    """Locks a room on the first connection."""
    await rival.one.execute("BEGIN")
    await rival.one.execute("SELECT FROM waiting_room WHERE room_id = $1 FOR UPDATE", room_id)


async def test_key_revoked_while_its_join_waits_is_refused(
    pair: tuple[Services, Services], database: Database
) -> None:
    """The join waits for the room, and its key is revoked meanwhile: no number is given."""
    made = await make_concert(pair[0])
    room_id = pair[0].rooms.snapshot.by_concert[made.concert_id].room_id
    guest = await pair[0].users.add_guest()
    key_hash = hashlib.sha256(guest.user_key.encode()).digest()
    async with rivals(database) as rival:
        await wait_for_the_room(rival, room_id)
        async with rival.other_waits(JOIN, room_id, key_hash, uuid4()) as joining:
            await pair[1].users.revoke_keys(guest.user_id)
            await rival.one.execute("COMMIT")
            assert await joining == "credential_invalid"
        assert await fetch(database, "SELECT issued FROM waiting_room") == [(0,)]
        assert await fetch(database, "SELECT count(*) FROM place") == [(0,)]


async def test_control_key_read_before_the_lock_joins_after_its_revocation(
    pair: tuple[Services, Services], database: Database
) -> None:
    """Control: one statement without the function reads the key before it waits for the room."""
    made = await make_concert(pair[0])
    room_id = pair[0].rooms.snapshot.by_concert[made.concert_id].room_id
    guest = await pair[0].users.add_guest()
    key_hash = hashlib.sha256(guest.user_key.encode()).digest()
    async with rivals(database) as rival:
        await wait_for_the_room(rival, room_id)
        at_once = """
            WITH room AS (SELECT FROM waiting_room WHERE room_id = $1 FOR UPDATE)
            SELECT k.user_id FROM room CROSS JOIN user_key AS k
            WHERE k.key_hash = $2 AND k.revoked_at IS NULL
        """
        async with rival.other_waits(at_once, room_id, key_hash) as joining:
            await pair[1].users.revoke_keys(guest.user_id)
            await rival.one.execute("COMMIT")
            assert await joining == guest.user_id


async def test_key_revoked_by_another_process_joins_no_line(
    pair: tuple[Services, Services],
) -> None:
    """A process that hasn't read the revocation, nor cached the key, refuses the join."""
    made = await make_concert(pair[0])
    await pair[1].rooms.snapshot.refresh()
    guests = [await pair[0].users.add_guest() for _ in range(2)]
    await pair[0].users.revoke_keys(guests[0].user_id)
    revoked, valid = [pair[1].users.look_up(guest.user_key) for guest in guests]
    with pytest.raises(CredentialInvalid):
        await pair[1].rooms.join(revoked, made.concert_id)
    status, _ = await pair[1].rooms.join(valid, made.concert_id)  # the control
    assert (status.user_id, status.number) == (guests[1].user_id, 1)


@pytest.mark.parametrize("revoked", [False, True])
async def test_key_revoked_during_its_join_is_not_cached(
    pair: tuple[Services, Services], monkeypatch: pytest.MonkeyPatch, *, revoked: bool
) -> None:
    """The join was decided before the revocation, and its answer comes after it was read."""
    one, other = pair
    made = await make_concert(one)
    await other.rooms.join((await one.users.add_guest()).user_id, made.concert_id)
    (lane,) = other.rooms._joining.values()
    guest = await one.users.add_guest()
    decided, read = asyncio.Event(), asyncio.Event()
    run = lane._run

    async def slowly(items: Sequence[JoinItem]) -> object:
        rows = await run(items)
        decided.set()
        await read.wait()
        return rows

    monkeypatch.setattr(lane, "_run", slowly)
    key = other.users.look_up(guest.user_key)
    joining = asyncio.create_task(other.rooms.join(key, made.concert_id))
    await decided.wait()
    if revoked:
        await one.users.revoke_keys(guest.user_id)
    await other.users.read_revocations()
    read.set()
    status, _ = await joining
    assert (status.user_id, status.number) == (guest.user_id, 2)
    assert len(other.users._known) == (0 if revoked else 1)
