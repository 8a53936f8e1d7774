"""The line: joining, leaving, entering, being called, following."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from frontrow.errors import CredentialInvalid, NotAdmitted, NotFound, RoomClosed, TokenFinished
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.waiting_room import snapshot
from frontrow.waiting_room.policy import MaxActivePolicy, OpenPolicy, RatePolicy
from frontrow.waiting_room.service import _queries
from frontrow.waiting_room.settings import RoomSettings
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
from tests.conftest import Database

ONE = MaxActivePolicy(max_active=1)


async def place_row(owner: Owner, place: PlaceRef) -> asyncpg.Record:
    """A place as it stands in the database."""
    return await owner.fetchrow(
        "SELECT * FROM place WHERE room_id = $1 AND number = $2", place.room_id, place.number
    )


async def admitted_numbers(owner: Owner) -> list[int]:
    """Who has been called and is not finished."""
    rows = await owner.fetch("SELECT number FROM place WHERE state = 'admitted' ORDER BY number")
    return [row["number"] for row in rows]


def forged(place: PlaceRef) -> PlaceRef:
    """The same room and number, but another place: a token of a database that was set back."""
    return msgspec.structs.replace(place, place_id=uuid4())


# Joining -----------------------------------------------------------------------------------------


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


async def test_join_again_gives_the_live_place(services: Services, owner: Owner) -> None:
    """A user has one live place in a line, waiting or admitted."""
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
    """Lines know nothing of each other."""
    one, two = await make_concert(services), await make_concert(services)
    user_id = uuid4()
    places = [await join(services, made.concert_id, user_id) for made in (one, two)]
    assert [place.number for place in places] == [1, 1]
    assert places[0].room_id != places[1].room_id


async def test_numbers_are_gapless_in_order_of_arrival(services: Services, owner: Owner) -> None:
    """Calls at the same moment get the next numbers in the order in which they came."""
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
    """Two processes give each number once, and none is left out."""
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
    """In one batch too there is one place: the first call makes it, the others get it."""
    made = await make_concert(services)
    user_id = uuid4()
    joined = await asyncio.gather(
        *[services.rooms.join(user_id if at % 2 else uuid4(), made.concert_id) for at in range(20)]
    )
    assert sum(new for _, new in joined) == 11
    assert {status.number for status, _ in joined if status.user_id == user_id} == {2}
    assert sorted({status.number for status, _ in joined}) == list(range(1, 12))
    assert await owner.fetchval("SELECT count(*) FROM place") == 11


async def test_a_batch_of_joins_sent_again(services: Services, owner: Owner) -> None:
    """After a lost connection the same places are asked for again: they stand, and are new."""
    made = await make_concert(services)
    room_id = services.rooms.snapshot.by_concert[made.concert_id].room_id
    asked = {"user_ids": [uuid4() for _ in range(3)], "place_ids": [uuid4() for _ in range(3)]}
    first, second = [
        await _queries.join_room(services.pool, room_id=room_id, **asked) for _ in range(2)
    ]
    assert [(row["outcome"], row["number"]) for row in first] == [("new", n) for n in (1, 2, 3)]
    assert [tuple(row) for row in second] == [tuple(row) for row in first]
    assert await owner.fetchval("SELECT issued FROM waiting_room") == 3


async def test_join_an_unknown_concert(services: Services, database: Database) -> None:
    """There is no line."""
    async with refused(database, NotFound):
        await services.rooms.join(uuid4(), uuid4())


async def test_join_a_concert_made_by_another_process(
    services: Services, database: Database
) -> None:
    """A process that hasn't seen the concert yet looks again."""
    async with services_on(database) as other:
        made = await make_concert(services)
        assert (await join(other, made.concert_id)).number == 1


async def test_a_dead_place_is_replaced(
    services: Services, database: Database, owner: Owner
) -> None:
    """Who didn't come in time joins again at the end; the old place is written off."""
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


# Leaving -----------------------------------------------------------------------------------------


async def test_leave_while_waiting(services: Services, owner: Owner) -> None:
    """Who leaves is out; those behind move up, each leaver counted once, in order of leaving."""
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
    """The second time the token is dead."""
    made = await make_concert(services, policy=ONE)
    place = await join(services, made.concert_id)
    await services.reservations.leave(place)
    async with refused(database, TokenFinished, reason="left"):
        await services.reservations.leave(place)


async def test_leave_twice_at_once(services: Services, owner: Owner) -> None:
    """In one batch it is one leave, and counts as one."""
    made = await make_concert(services, policy=ONE)
    place, _ = [await join(services, made.concert_id) for _ in range(2)]
    await asyncio.gather(*[services.reservations.leave(place) for _ in range(3)])
    assert await owner.fetchval("SELECT left_count FROM waiting_room") == 1
    assert (await place_row(owner, place))["left_seq"] == 1


async def test_leave_with_a_forged_place(services: Services, database: Database) -> None:
    """A token of another place at the same number takes nobody out."""
    made = await make_concert(services)
    place = await join(services, made.concert_id)
    async with refused(database, CredentialInvalid):
        await services.reservations.leave(forged(place))
    async with refused(database, CredentialInvalid):
        await services.reservations.leave(msgspec.structs.replace(place, number=99))


async def test_leave_while_admitted(services: Services, owner: Owner) -> None:
    """The slot and the holds are free at once, and nobody is counted out."""
    made = await make_concert(services, policy=ONE)
    place = await buyer(services, made.concert_id, 100_000)
    second = await join(services, made.concert_id)
    reservation, _ = await services.reservations.hold(place, made.shows[0], [1, 2], None)
    services.bell._rooms.clear()
    await services.reservations.leave(place)
    assert services.bell._rooms == {place.room_id}
    row = await place_row(owner, place)
    assert (row["state"], row["reason"], row["left_seq"]) == ("finished", "left", None)
    found = await services.reservations.get(reservation.reservation_id, place.user_id)
    assert found.state == "released"
    free = await owner.fetchval("SELECT count(*) FROM seat WHERE reservation_id IS NULL")
    assert free == 50
    assert await admit_all(services, made.concert_id) == 1
    assert (await services.rooms.status(second)).state == "admitted"


# Entering ----------------------------------------------------------------------------------------


async def test_enter_while_waiting(services: Services, database: Database) -> None:
    """Nobody comes in before being called."""
    made = await make_concert(services)
    place = await join(services, made.concert_id)
    async with refused(database, NotAdmitted):
        await services.rooms.enter(place)


async def test_the_first_admitted_call_claims(services: Services, owner: Owner) -> None:
    """The session begins with it and no later call moves its end; following is no such call."""
    made = await make_concert(services, session_seconds=600, claim_seconds=120)
    place = await buyer(services, made.concert_id)
    called = await services.rooms.status(place)
    assert called.admitted_at is not None
    assert called.claimed_at is None
    assert called.expires_at == called.admitted_at + timedelta(seconds=120)
    await asyncio.gather(*[services.rooms.enter(place) for _ in range(5)])
    claimed = await services.rooms.status(place)
    assert claimed.claimed_at is not None
    assert claimed.admitted_at == called.admitted_at
    assert claimed.expires_at == claimed.claimed_at + timedelta(seconds=600)
    before = await place_row(owner, place)
    await services.rooms.enter(place)
    assert await place_row(owner, place) == before
    assert before["session_until"] == claimed.expires_at


async def test_claim_window(services: Services, database: Database) -> None:
    """Who doesn't come in time is out, with no upkeep running."""
    made = await make_concert(services, claim_seconds=120)
    place = await buyer(services, made.concert_id)
    await pass_time(database, 119)
    assert (await services.rooms.status(place)).state == "admitted"
    await pass_time(database, 1)
    status = await services.rooms.status(place)
    assert (status.state, status.reason, status.expires_at) == ("finished", "expired", None)
    async with refused(database, TokenFinished, reason="expired"):
        await services.rooms.enter(place)


async def test_session_end(services: Services, database: Database) -> None:
    """A session ends by itself, with no upkeep running."""
    made = await make_concert(services, session_seconds=600)
    place = await buyer(services, made.concert_id)
    await services.rooms.enter(place)
    await pass_time(database, 598)
    await services.rooms.enter(place)
    await pass_time(database, 2)
    assert (await services.rooms.status(place)).reason == "expired"
    async with refused(database, TokenFinished, reason="expired"):
        await services.rooms.enter(place)


async def test_enter_with_a_forged_place(services: Services, database: Database) -> None:
    """A token of another place at the same number, or of none, claims nothing."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    async with refused(database, CredentialInvalid):
        await services.rooms.enter(forged(place))
    async with refused(database, CredentialInvalid):
        await services.rooms.enter(msgspec.structs.replace(place, number=99))


async def test_enter_together(services: Services) -> None:
    """Each call of a batch has its own answer."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=2))
    called = [await buyer(services, made.concert_id) for _ in range(2)]
    waiting = await join(services, made.concert_id)
    await services.reservations.leave(called[1])
    got = await asyncio.gather(
        *[services.rooms.enter(place) for place in (*called, waiting, forged(called[0]))],
        return_exceptions=True,
    )
    assert [type(answer) for answer in got] == [
        type(None),
        TokenFinished,
        NotAdmitted,
        CredentialInvalid,
    ]


async def test_a_hold_carries_the_session(
    services: Services, database: Database, owner: Owner
) -> None:
    """To the hold's own end, but one hold beyond the session's end at most."""
    made = await make_concert(services, session_seconds=60, hold_seconds=100)
    place = await buyer(services, made.concert_id)
    show = made.shows[0]
    first, _ = await services.reservations.hold(place, show, [1], None)
    row = await place_row(owner, place)
    assert row["session_until"] == row["claimed_at"] + timedelta(seconds=60)
    assert first.held_until == first.created_at + timedelta(seconds=100)
    assert row["expires_at"] == first.held_until

    await pass_time(database, 90)
    second, _ = await services.reservations.hold(place, show, [2], None)
    row = await place_row(owner, place)
    assert second.held_until == row["session_until"] + timedelta(seconds=100)
    assert row["expires_at"] == second.held_until

    await pass_time(database, 50)
    third, _ = await services.reservations.hold(place, show, [3], None)
    row = await place_row(owner, place)
    assert third.held_until == row["expires_at"] == row["session_until"] + timedelta(seconds=100)
    await pass_time(database, 21)
    async with refused(database, TokenFinished, reason="expired"):
        await services.reservations.hold(place, show, [4], None)


async def test_a_short_hold_leaves_the_session(services: Services, owner: Owner) -> None:
    """A hold that ends before the session does changes nothing about it."""
    made = await make_concert(services, session_seconds=600, hold_seconds=10)
    place = await buyer(services, made.concert_id)
    await services.reservations.hold(place, made.shows[0], [1], None)
    row = await place_row(owner, place)
    assert row["expires_at"] == row["session_until"]


# Being called ------------------------------------------------------------------------------------


async def test_called_strictly_by_number(services: Services, owner: Owner) -> None:
    """Those who left are skipped, nobody else; each admission is written down."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=3))
    places = [await join(services, made.concert_id) for _ in range(7)]
    for at in (1, 3):
        await services.reservations.leave(places[at])
    assert await admit_all(services, made.concert_id) == 3
    assert await admitted_numbers(owner) == [1, 3, 5]
    await services.reservations.leave(places[2])
    assert await admit_all(services, made.concert_id) == 1
    assert await admitted_numbers(owner) == [1, 5, 6]
    admissions = await owner.fetch(
        "SELECT first_number, last_number, admitted, active FROM admission ORDER BY 1"
    )
    assert [tuple(row) for row in admissions] == [(1, 5, 3, 3), (6, 6, 1, 3)]
    assert await owner.fetchval("SELECT serving FROM waiting_room") == 6
    waiting = await services.rooms.status(places[6])
    assert (waiting.state, waiting.ahead) == ("waiting", 0)


async def test_cap(services: Services, database: Database, owner: Owner) -> None:
    """It counts everyone called and not finished, claimed or not, and is exact."""
    made = await make_concert(
        services, policy=MaxActivePolicy(max_active=10), claim_seconds=60, session_seconds=600
    )
    places = await asyncio.gather(*[join(services, made.concert_id) for _ in range(50)])
    assert await admit_all(services, made.concert_id) == 10
    assert await admit_all(services, made.concert_id) == 0
    for place in places[:4]:
        await services.rooms.enter(place)
    await pass_time(database, 61)
    line = services.rooms.snapshot.by_concert[made.concert_id]
    done = await services.rooms.admit(line)
    assert done == (6, 6, 10, True)
    assert await admitted_numbers(owner) == [1, 2, 3, 4, *range(11, 17)]


async def test_cap_over_processes(services: Services, database: Database, owner: Owner) -> None:
    """However many processes admit at once, the cap holds."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=7))
    await asyncio.gather(*[join(services, made.concert_id) for _ in range(30)])
    async with services_on(database) as other:
        called = await asyncio.gather(
            *[
                process.rooms.admit(process.rooms.snapshot.by_concert[made.concert_id])
                for _ in range(10)
                for process in (services, other)
            ]
        )
    assert sum(done.admitted for done in called) == 7
    assert await admitted_numbers(owner) == list(range(1, 8))


async def test_a_slot_is_free_only_once_its_place_is_finished(
    services: Services, database: Database, owner: Owner
) -> None:
    """A place whose row is locked (a hold is just extending it) still counts, though overdue."""
    made = await make_concert(services, policy=ONE)
    place = await buyer(services, made.concert_id)
    await join(services, made.concert_id)
    await pass_time(database, 121)
    line = services.rooms.snapshot.by_concert[made.concert_id]
    async with owner.transaction():
        await owner.execute("SELECT FROM place WHERE number = $1 FOR UPDATE", place.number)
        assert await services.rooms.admit(line) == (0, 0, 1, True)
    assert await services.rooms.admit(line) == (1, 1, 1, False)


async def test_everybody_of_an_open_line(services: Services) -> None:
    """An open line takes all, some thousands at a time."""
    made = await make_concert(services)
    for _ in range(3):
        await asyncio.gather(*[services.rooms.join(uuid4(), made.concert_id) for _ in range(2_000)])
    line = services.rooms.snapshot.by_concert[made.concert_id]
    assert await services.rooms.admit(line) == (5_000, 0, 5_000, True)
    assert await services.rooms.admit(line) == (1_000, 0, 6_000, False)


async def test_rate_is_spread_over_its_window(services: Services, database: Database) -> None:
    """Ten in ten seconds is one a second; a pause is not made up for."""
    made = await make_concert(services, policy=RatePolicy(admit=10, every_seconds=10))
    await asyncio.gather(*[join(services, made.concert_id) for _ in range(40)])
    assert await admit_all(services, made.concert_id) == 1
    assert await admit_all(services, made.concert_id) == 0
    called = []
    for seconds in (0.5, 0.5, 1, 1, 0.9, 0.1, 30, 0.1, 1):
        await pass_time(database, seconds)
        called.append(await admit_all(services, made.concert_id))
    assert called == [0, 1, 1, 1, 0, 1, 1, 0, 1]


async def test_rate_makes_up_for_a_moment(services: Services, database: Database) -> None:
    """Up to 200 ms of unused allowance are given at once, so that a tick costs nothing."""
    made = await make_concert(services, policy=RatePolicy(admit=100, every_seconds=10))
    await asyncio.gather(*[join(services, made.concert_id) for _ in range(20)])
    called = [await admit_all(services, made.concert_id)]
    for seconds in (0.21, 5, 5):
        await pass_time(database, seconds)
        called.append(await admit_all(services, made.concert_id))
    assert called == [2, 2, 2, 2]


async def test_rate_in_any_window(services: Services, database: Database, owner: Owner) -> None:
    """No window of the length holds more than the rate; a steady line loses nothing of it."""
    made = await make_concert(services, policy=RatePolicy(admit=20, every_seconds=2))
    await asyncio.gather(*[join(services, made.concert_id) for _ in range(120)])
    for step in range(70):
        await pass_time(database, (0.05, 0.1)[step % 2])
        await admit_all(services, made.concert_id)
    windows = await owner.fetch(
        """SELECT sum(admitted) OVER (
            ORDER BY admitted_at RANGE BETWEEN CURRENT ROW AND '1.999999 seconds' FOLLOWING
        ) AS called FROM admission"""
    )
    assert 18 <= max(row["called"] for row in windows) <= 20
    # Ten a second for the time that has passed since the first one was called.
    passed, called = await owner.fetchrow(
        """SELECT extract(epoch FROM max(admitted_at) - min(admitted_at))::float, sum(admitted)
        FROM admission"""
    )
    assert passed * 10 - 1 <= called <= passed * 10 + 3


async def test_rate_counts_who_was_called_before_it(services: Services, database: Database) -> None:
    """A line that is given a rate has used up what it called in the last window."""
    made = await make_concert(services)
    for _ in range(20):
        await join(services, made.concert_id)
    assert await admit_all(services, made.concert_id) == 20
    for _ in range(20):
        await join(services, made.concert_id)
    rate = RatePolicy(admit=20, every_seconds=60)
    await services.rooms.configure(made.concert_id, RoomSettings(policy=rate))
    called = []
    for seconds in (0, 30, 29, 2):
        await pass_time(database, seconds)
        called.append(await admit_all(services, made.concert_id))
    assert called == [0, 0, 0, 1]


async def test_before_the_opening(services: Services, database: Database) -> None:
    """One may join, nobody is called; then the line opens by itself."""
    made = await make_concert(services, opens_at=datetime.now(UTC) + timedelta(seconds=60))
    place = await join(services, made.concert_id)
    states = []
    line = services.rooms.snapshot.by_concert[made.concert_id]
    states.append(line.state)
    assert await admit_all(services, made.concert_id) == 0
    await pass_time(database, 61)
    assert await admit_all(services, made.concert_id) == 1
    states.append(line.state)
    assert states == ["scheduled", "open"]
    assert (await services.rooms.status(place)).state == "admitted"


async def test_after_the_close(services: Services, database: Database, owner: Owner) -> None:
    """Nobody joins, those who wait are finished as expired, those who are in may finish."""
    made = await make_concert(
        services, policy=ONE, closes_at=datetime.now(UTC) + timedelta(seconds=60)
    )
    inside = await buyer(services, made.concert_id, 50_000)
    waiting = [await join(services, made.concert_id) for _ in range(3)]
    await pass_time(database, 61)
    async with refused(database, RoomClosed):
        await services.rooms.join(uuid4(), made.concert_id)
    status, new = await services.rooms.join(waiting[0].user_id, made.concert_id)
    assert (status.number, new) == (2, False)

    assert await admit_all(services, made.concert_id) == 0
    line = services.rooms.snapshot.by_concert[made.concert_id]
    assert (line.state, line.waiting) == ("closed", 0)
    statuses = [await services.rooms.status(place) for place in waiting]
    assert [(one.state, one.reason) for one in statuses] == [("finished", "expired")] * 3
    async with refused(database, TokenFinished, reason="expired"):
        await services.rooms.enter(waiting[0])
    async with refused(database, RoomClosed):
        await services.rooms.join(waiting[0].user_id, made.concert_id)
    reservation, _ = await services.reservations.hold(inside, made.shows[0], [1], None)
    await services.paying.pay(inside, reservation.reservation_id, 50_000, None)
    assert await owner.fetchval("SELECT serving FROM waiting_room") == 1


async def test_a_line_that_is_opened_again(
    services: Services, database: Database, owner: Owner
) -> None:
    """Those whom the close has ended stand in nobody's way and in nobody's count."""
    made = await make_concert(
        services, policy=ONE, closes_at=datetime.now(UTC) + timedelta(seconds=60)
    )
    await buyer(services, made.concert_id)
    for _ in range(3):
        await join(services, made.concert_id)
    await pass_time(database, 61)
    await admit_all(services, made.concert_id)
    await services.rooms.configure(made.concert_id, RoomSettings(policy=ONE))
    place = await join(services, made.concert_id)
    status = await services.rooms.status(place)
    assert (status.number, status.ahead) == (5, 0)
    await services.rooms.snapshot.refresh()
    assert services.rooms.snapshot.by_concert[made.concert_id].waiting == 1
    assert await owner.fetchval("SELECT left_count FROM waiting_room") == 3


async def test_paused(services: Services) -> None:
    """Nobody is called; one may join, and those who are in go on."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=2))
    inside = await buyer(services, made.concert_id)
    await services.rooms.pause(made.concert_id, paused=True)
    await join(services, made.concert_id)
    assert await admit_all(services, made.concert_id) == 0
    assert services.rooms.snapshot.by_concert[made.concert_id].state == "paused"
    await services.rooms.enter(inside)
    await services.rooms.pause(made.concert_id, paused=False)
    assert await admit_all(services, made.concert_id) == 1
    with pytest.raises(NotFound):
        await services.rooms.pause(uuid4(), paused=True)


# Setting up --------------------------------------------------------------------------------------


async def test_configure(services: Services, database: Database, owner: Owner) -> None:
    """Places and numbers stay; the new policy is in force at once, whatever a process knew."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=2))
    async with services_on(database) as other:
        places = [await join(services, made.concert_id) for _ in range(9)]
        assert await admit_all(services, made.concert_id) == 2
        wanted = RoomSettings(
            policy=MaxActivePolicy(max_active=5), session_seconds=30, claim_seconds=20
        )
        await services.rooms.configure(made.concert_id, wanted)
        assert await services.rooms.settings(made.concert_id) == wanted
        stale = other.rooms.snapshot.by_concert[made.concert_id]
        assert stale.policy == MaxActivePolicy(max_active=2)
        assert await other.rooms.admit(stale) == (0, 0, 0, False)
        assert stale.policy == MaxActivePolicy(max_active=5)
        assert await other.rooms.admit(stale) == (3, 0, 5, True)
    row = await place_row(owner, places[4])
    assert row["expires_at"] == row["admitted_at"] + timedelta(seconds=20)
    versions = await owner.fetch(
        "SELECT policy_version, policy ->> 'max_active' FROM policy_change ORDER BY 1"
    )
    assert [tuple(row) for row in versions] == [(1, "2"), (2, "5")]


async def test_a_lower_cap_throws_nobody_out(services: Services, owner: Owner) -> None:
    """Those who are in stay; the next one is called once there are fewer than the new cap."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=3))
    places = [await join(services, made.concert_id) for _ in range(5)]
    await admit_all(services, made.concert_id)
    await services.rooms.configure(
        made.concert_id, RoomSettings(policy=MaxActivePolicy(max_active=2))
    )
    called = []
    for place in places[:2]:
        called.append(await admit_all(services, made.concert_id))
        await services.reservations.leave(place)
    called.append(await admit_all(services, made.concert_id))
    assert called == [0, 0, 1]
    assert await admitted_numbers(owner) == [3, 4]


async def test_configure_takes_times(services: Services) -> None:
    """A line may be closed by its times and opened again."""
    made = await make_concert(services)
    now = datetime.now(UTC)
    past = RoomSettings(
        policy=OpenPolicy(), opens_at=now - timedelta(2), closes_at=now - timedelta(1)
    )
    await services.rooms.configure(made.concert_id, past)
    with pytest.raises(RoomClosed):
        await join(services, made.concert_id)
    await services.rooms.configure(made.concert_id, RoomSettings(policy=OpenPolicy()))
    assert (await join(services, made.concert_id)).number == 1


async def test_configure_an_unknown_concert(services: Services, database: Database) -> None:
    """There is no line to set up or to ask about."""
    async with refused(database, NotFound):
        await services.rooms.configure(uuid4(), RoomSettings())
    async with refused(database, NotFound):
        await services.rooms.settings(uuid4())


# Following ---------------------------------------------------------------------------------------


async def test_status_in_every_state(services: Services) -> None:
    """Waiting, called, claimed, paid: what the contract says of each."""
    made = await make_concert(services, policy=ONE)
    place = await join(services, made.concert_id)
    behind = await join(services, made.concert_id)
    assert (await services.rooms.status(behind)).ahead == 1
    seen = [await services.rooms.status(place)]
    await admit_all(services, made.concert_id)
    seen.append(await services.rooms.status(place))
    await services.ledger.charge(place, 50_000, None)
    seen.append(await services.rooms.status(place))
    reservation, _ = await services.reservations.hold(place, made.shows[0], [1], None)
    await services.paying.pay(place, reservation.reservation_id, 50_000, None)
    seen.append(await services.rooms.status(place))
    assert [(one.state, one.reason) for one in seen] == [
        ("waiting", None),
        ("admitted", None),
        ("admitted", None),
        ("finished", "paid"),
    ]
    assert {(one.number, one.position, one.ahead, one.user_id, one.issued_at) for one in seen} == {
        (1, 1, 0, place.user_id, place.issued_at)
    }
    assert [one.admitted_at is None for one in seen] == [True, False, False, False]
    assert [one.claimed_at is None for one in seen] == [True, True, False, False]
    assert [one.expires_at is None for one in seen] == [True, False, False, True]
    assert (await services.rooms.status(behind)).ahead == 0


async def test_following_a_waiting_place_reads_nothing(services: Services) -> None:
    """Not even a database that is gone is missed."""
    made = await make_concert(services, policy=ONE)
    await buyer(services, made.concert_id)
    place = await join(services, made.concert_id)
    await services.pool.close()
    assert (await services.rooms.status(place)).state == "waiting"


async def test_status_of_a_forged_place(services: Services, database: Database) -> None:
    """Once it is no longer surely waiting, a token must name the place that stands there."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    async with refused(database, CredentialInvalid):
        await services.rooms.status(forged(place))
    async with refused(database, CredentialInvalid):
        await services.rooms.check_live(forged(place))


async def test_check_live(services: Services, database: Database) -> None:
    """A finished token is refused with its reason; a waiting or an admitted one is not."""
    made = await make_concert(services, policy=ONE)
    inside = await buyer(services, made.concert_id)
    waiting = await join(services, made.concert_id)
    await services.rooms.check_live(inside)
    await services.rooms.check_live(waiting)
    await services.reservations.leave(inside)
    async with refused(database, TokenFinished, reason="left"):
        await services.rooms.check_live(inside)


async def test_refreshes_at_once_count_each_leaver_once(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Admission and the ticker of one process look at the same time; nobody is counted twice."""
    read = snapshot._queries.left_between
    two = asyncio.Event()
    reading = 0

    async def left_between(*args: Any, **named: Any) -> Any:
        """Waits a while for a second refresh to come this far too."""
        nonlocal reading
        reading += 1
        if reading == 2:
            two.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(two.wait(), 0.2)
        return await read(*args, **named)

    monkeypatch.setattr(snapshot._queries, "left_between", left_between)
    made = await make_concert(services, policy=ONE)
    async with services_on(database) as other:
        places = [await join(services, made.concert_id) for _ in range(12)]
        await other.rooms.snapshot.refresh()
        for place in places[:6]:
            await services.reservations.leave(place)
        await asyncio.gather(*[other.rooms.snapshot.refresh() for _ in range(3)])
        line = other.rooms.snapshot.by_concert[made.concert_id]
        assert list(line.left) == [1, 2, 3, 4, 5, 6]
        assert line.waiting == 6
        assert (await other.rooms.status(places[11])).ahead == 5


async def test_a_process_that_comes_later_sees_the_same_line(
    services: Services, database: Database
) -> None:
    """Leavers from before its start are counted out too, without those nobody waits behind."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=2))
    places = [await join(services, made.concert_id) for _ in range(8)]
    for at in (0, 6, 4):
        await services.reservations.leave(places[at])
    await admit_all(services, made.concert_id)
    async with services_on(database) as other:
        for at in (3, 5, 7):
            assert await follow(other, places[at]) == await follow(services, places[at])
        line = other.rooms.snapshot.by_concert[made.concert_id]
        assert (list(line.left), line.waiting) == ([5, 7], 3)


async def follow(services: Services, place: PlaceRef) -> tuple[str, int, UUID]:
    """State, people ahead and user of a place."""
    status = await services.rooms.status(place)
    return status.state, status.ahead, status.user_id


async def test_stock_in_the_snapshot(services: Services) -> None:
    """Those who wait see how many seats are free: neither held nor sold."""
    made = await make_concert(services, seats=10, shows=2)
    place = await buyer(services, made.concert_id, 100_000)
    line = services.rooms.snapshot.by_concert[made.concert_id]
    assert (line.seats_available, line.seats_total) == (20, 20)
    await services.reservations.hold(place, made.shows[0], [1, 2], None)
    await services.rooms.snapshot.refresh_stock()
    assert (line.seats_available, line.seats_total) == (18, 20)
