"""Joining and leaving a line."""

import asyncio
from uuid import uuid4

import msgspec
import pytest

from frontrow.errors import CredentialInvalid, NotFound, TokenFinished
from frontrow.services import Services
from frontrow.waiting_room.policy import MaxActivePolicy
from frontrow.waiting_room.queries import JoinItem, queries
from testkit.database import Database
from tests.buyers import (
    Owner,
    admit_all,
    buyer,
    join,
    make_concert,
    pass_time,
    refused,
    services_on,
)
from tests.integration.features.stored_places import forged, place_row

ONE = MaxActivePolicy(max_active=1)


async def test_join(services: Services, owner: Owner) -> None:
    """The first place of a line, with a token that names it."""
    made = await make_concert(services)
    user_id = uuid4()
    status, new = await services.rooms.join(user_id, made.concert_id)
    assert new
    assert (status.user_id, status.concert_id) == (user_id, made.concert_id)
    assert (status.number, status.position, status.ahead) == (1, 1, 0)
    assert (status.state, status.reason) == ("waiting", None)
    assert (status.admitted_at, status.claimed_at, status.expires_at) == (None, None, None)
    assert status.seats_available == 50
    assert 1_000 <= status.poll_after_ms <= 2_000
    place = services.signer.verify(status.token.encode())
    row = await place_row(owner, place)
    assert (row["place_id"], row["user_id"], row["state"]) == (place.place_id, user_id, "waiting")
    assert status.issued_at == place.issued_at == row["joined_at"].replace(microsecond=0)
    assert await owner.fetchval("SELECT issued FROM waiting_room") == 1


async def test_joining_again_returns_the_place(services: Services, owner: Owner) -> None:
    """A user has one unfinished place in a line, waiting or admitted."""
    made = await make_concert(services)
    first, _ = await services.rooms.join(uuid4(), made.concert_id)
    again, new = await services.rooms.join(first.user_id, made.concert_id)
    assert (new, again.token) == (False, first.token)
    await admit_all(services, made.concert_id)
    admitted, new = await services.rooms.join(first.user_id, made.concert_id)
    assert (new, admitted.token, admitted.state) == (False, first.token, "admitted")
    assert admitted.expires_at is not None
    assert await owner.fetchval("SELECT count(*) FROM place") == 1


async def test_one_user_in_two_lines(services: Services) -> None:
    """Lines are independent of each other."""
    one, two = await make_concert(services), await make_concert(services)
    user_id = uuid4()
    places = [await join(services, made.concert_id, user_id) for made in (one, two)]
    assert [place.number for place in places] == [1, 1]
    assert places[0].room_id != places[1].room_id


async def test_numbers_are_gapless_in_order_of_arrival(services: Services, owner: Owner) -> None:
    """Concurrent calls get the next numbers in their order of arrival."""
    made = await make_concert(services)
    for wave in (1, 250, 1300):
        before = await owner.fetchval("SELECT issued FROM waiting_room")
        joined = await asyncio.gather(
            *[services.rooms.join(uuid4(), made.concert_id) for _ in range(wave)]
        )
        assert [status.number for status, _ in joined] == list(range(before + 1, before + wave + 1))
    assert await owner.fetchval("SELECT count(*) FROM place") == 1551


async def test_numbers_are_gapless_over_processes(
    services: Services, database: Database, owner: Owner
) -> None:
    """Two processes give each number once, without a gap."""
    made = await make_concert(services)
    async with services_on(database) as other:
        joined = await asyncio.gather(
            *[
                process.rooms.join(uuid4(), made.concert_id)
                for _ in range(200)
                for process in (services, other)
            ]
        )
    assert sorted(status.number for status, _ in joined) == list(range(1, 401))
    assert await owner.fetchval("SELECT issued FROM waiting_room") == 400


async def test_one_user_joins_many_times_at_once(services: Services, owner: Owner) -> None:
    """Also in one batch there is one place: the first call creates it, the others get it."""
    made = await make_concert(services)
    user_id = uuid4()
    joined = await asyncio.gather(
        *[services.rooms.join(user_id if at % 2 else uuid4(), made.concert_id) for at in range(20)]
    )
    assert sum(new for _, new in joined) == 11
    assert {status.number for status, _ in joined if status.user_id == user_id} == {2}
    assert sorted({status.number for status, _ in joined}) == list(range(1, 12))
    assert await owner.fetchval("SELECT count(*) FROM place") == 11


async def test_repeated_batch_returns_the_same_places(services: Services, owner: Owner) -> None:
    """A repeat after a lost connection returns the same places, as new."""
    made = await make_concert(services)
    room_id = services.rooms.snapshot.by_concert[made.concert_id].room_id
    items = [JoinItem(uuid4(), None, uuid4()) for _ in range(3)]
    first, second = [await queries.join(services.pool, items, room_id=room_id) for _ in range(2)]
    assert [(row.outcome, row.number) for row in first] == [("new", n) for n in (1, 2, 3)]
    assert second == first
    assert await owner.fetchval("SELECT issued FROM waiting_room") == 3


async def test_join_an_unknown_concert(services: Services, database: Database) -> None:
    """An unknown concert has no line."""
    async with refused(database, NotFound):
        await services.rooms.join(uuid4(), uuid4())


async def test_join_a_concert_made_by_another_process(
    services: Services, database: Database
) -> None:
    """A process that doesn't know the concert yet refreshes its snapshot."""
    async with services_on(database) as other:
        made = await make_concert(services)
        assert (await join(other, made.concert_id)).number == 1


async def test_overdue_place_is_replaced(
    services: Services, database: Database, owner: Owner
) -> None:
    """A user who did not claim joins again at the end; the old place is expired."""
    made = await make_concert(services, claim_seconds=60)
    old = await buyer(services, made.concert_id)
    await join(services, made.concert_id)
    await pass_time(database, 61)
    new = await join(services, made.concert_id, old.user_id)
    assert (new.number, new.place_id != old.place_id) == (3, True)
    row = await place_row(owner, old)
    assert (row["state"], row["reason"]) == ("finished", "expired")
    assert row["finished_at"] > row["expires_at"]
    with pytest.raises(TokenFinished):
        await services.rooms.enter(old)


async def test_leave_while_waiting(services: Services, owner: Owner) -> None:
    """Places behind a leaver move up; each leaver counts once, in order of leaving."""
    made = await make_concert(services, policy=ONE)
    places = [await join(services, made.concert_id) for _ in range(6)]
    await services.reservations.leave(places[3])
    await asyncio.gather(*[services.reservations.leave(places[at]) for at in (2, 0)])
    await services.rooms.snapshot.refresh()
    ahead = [(await services.rooms.status(places[at])).ahead for at in (1, 4, 5)]
    assert ahead == [0, 1, 2]
    left = await owner.fetch("SELECT number, left_seq FROM place WHERE reason = 'left' ORDER BY 2")
    assert [tuple(row) for row in left] == [(4, 1), (1, 2), (3, 3)]
    assert await owner.fetchval("SELECT left_count FROM waiting_room") == 3
    status = await services.rooms.status(places[0])
    assert (status.state, status.reason, status.ahead) == ("finished", "left", 0)
    assert (status.admitted_at, status.expires_at) == (None, None)


async def test_leave_twice(services: Services, database: Database) -> None:
    """The second time the token has ended."""
    made = await make_concert(services, policy=ONE)
    place = await join(services, made.concert_id)
    await services.reservations.leave(place)
    async with refused(database, TokenFinished, reason="left"):
        await services.reservations.leave(place)


async def test_leave_twice_at_once(services: Services, owner: Owner) -> None:
    """In one batch it is one leave, and counts once."""
    made = await make_concert(services, policy=ONE)
    place, _ = [await join(services, made.concert_id) for _ in range(2)]
    await asyncio.gather(*[services.reservations.leave(place) for _ in range(3)])
    assert await owner.fetchval("SELECT left_count FROM waiting_room") == 1
    assert (await place_row(owner, place))["left_seq"] == 1


async def test_leave_with_a_forged_place(services: Services, database: Database) -> None:
    """A token of another place at the same number ends no place."""
    made = await make_concert(services)
    place = await join(services, made.concert_id)
    async with refused(database, CredentialInvalid):
        await services.reservations.leave(forged(place))
    async with refused(database, CredentialInvalid):
        await services.reservations.leave(msgspec.structs.replace(place, number=99))


async def test_leave_while_admitted(services: Services, owner: Owner) -> None:
    """The slot and the holds are free at once; the place does not count as a leaver."""
    made = await make_concert(services, policy=ONE)
    place = await buyer(services, made.concert_id, 100_000)
    second = await join(services, made.concert_id)
    reservation, _ = await services.reservations.hold(place, made.shows[0], [1, 2], None)
    services.admission_signal._rooms.clear()
    await services.reservations.leave(place)
    assert services.admission_signal._rooms == {place.room_id}
    row = await place_row(owner, place)
    assert (row["state"], row["reason"], row["left_seq"]) == ("finished", "left", None)
    found = await services.reservations.get(reservation.reservation_id, place.user_id)
    assert found.state == "released"
    free = await owner.fetchval("SELECT count(*) FROM seat WHERE reservation_id IS NULL")
    assert free == 50
    assert await admit_all(services, made.concert_id) == 1
    assert (await services.rooms.status(second)).state == "admitted"
