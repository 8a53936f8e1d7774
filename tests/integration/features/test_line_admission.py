"""Admission: which places are admitted, and when."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from frontrow.errors import NotFound, RoomClosed, TokenFinished
from frontrow.services import Services
from frontrow.waiting_room.policy import MaxActivePolicy, RatePolicy
from frontrow.waiting_room.settings import RoomSettings
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
from tests.integration.features.stored_places import admitted_numbers

ONE = MaxActivePolicy(max_active=1)


async def test_places_are_admitted_by_number(services: Services, owner: Owner) -> None:
    """Only leavers are skipped; each admission is recorded."""
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
        "SELECT first_position, last_position, admitted, active FROM admission ORDER BY 1"
    )
    assert [tuple(row) for row in admissions] == [(1, 5, 3, 3), (6, 6, 1, 3)]
    assert await owner.fetchval("SELECT serving FROM waiting_room") == 6
    waiting = await services.rooms.status(places[6])
    assert (waiting.state, waiting.ahead) == ("waiting", 0)


async def test_cap_counts_unfinished_places(
    services: Services, database: Database, owner: Owner
) -> None:
    """All admitted and unfinished places count, claimed or not."""
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
    """Concurrent processes never exceed the cap."""
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


async def test_slot_is_free_once_its_place_is_finished(
    services: Services, database: Database, owner: Owner
) -> None:
    """An overdue place whose row is locked, as by a hold that extends it, still counts."""
    made = await make_concert(services, policy=ONE)
    place = await buyer(services, made.concert_id)
    await join(services, made.concert_id)
    await pass_time(database, 121)
    line = services.rooms.snapshot.by_concert[made.concert_id]
    async with owner.transaction():
        await owner.execute("SELECT FROM place WHERE number = $1 FOR UPDATE", place.number)
        assert await services.rooms.admit(line) == (0, 0, 1, True)
    assert await services.rooms.admit(line) == (1, 1, 1, False)


async def test_wake_up_without_waiting_places_counts_nothing(
    services: Services, database: Database
) -> None:
    """After a payment, a check of a line without waiting places reads one row."""
    made = await make_concert(services, policy=ONE)
    await buyer(services, made.concert_id)
    await pass_time(database, 121)
    line = services.rooms.snapshot.by_concert[made.concert_id]
    line.active = 7  # updated only by a count
    assert await services.rooms.admit(line, tidy=False) == (0, 0, 7, False)
    await join(services, made.concert_id)
    assert await services.rooms.admit(line, tidy=False) == (1, 1, 1, False)
    await pass_time(database, 121)
    assert await services.rooms.admit(line, tidy=False) == (0, 0, 1, False)
    assert await services.rooms.admit(line) == (0, 1, 0, False)


async def test_open_line_admits_all(services: Services) -> None:
    """An open line admits all places, 5,000 at a time."""
    made = await make_concert(services)
    for _ in range(3):
        await asyncio.gather(*[services.rooms.join(uuid4(), made.concert_id) for _ in range(2_000)])
    line = services.rooms.snapshot.by_concert[made.concert_id]
    assert await services.rooms.admit(line) == (5_000, 0, 5_000, True)
    assert await services.rooms.admit(line) == (1_000, 0, 6_000, False)


async def test_rate_is_spread_over_its_window(services: Services, database: Database) -> None:
    """Ten in a thousand seconds is one each hundred; unused allowance of a pause is lost."""
    made = await make_concert(services, policy=RatePolicy(admit=10, every_seconds=1_000))
    await asyncio.gather(*[join(services, made.concert_id) for _ in range(40)])
    assert await admit_all(services, made.concert_id) == 1
    assert await admit_all(services, made.concert_id) == 0
    called = []
    for seconds in (50, 50, 100, 100, 90, 10, 3_000, 10, 100):
        await pass_time(database, seconds)
        called.append(await admit_all(services, made.concert_id))
    assert called == [0, 1, 1, 1, 0, 1, 1, 0, 1]


async def test_rate_makes_up_for_200_ms(services: Services, database: Database) -> None:
    """Up to 200 ms of unused allowance are used at once, so that ticks lose nothing."""
    made = await make_concert(services, policy=RatePolicy(admit=100, every_seconds=10))
    await asyncio.gather(*[join(services, made.concert_id) for _ in range(20)])
    called = [await admit_all(services, made.concert_id)]
    for seconds in (0.21, 5, 5):
        await pass_time(database, seconds)
        called.append(await admit_all(services, made.concert_id))
    assert called == [2, 2, 2, 2]


async def test_rate_in_any_window(services: Services, database: Database, owner: Owner) -> None:
    """No window has more admissions than the rate; a steady line uses all of it."""
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
    # Ten a second since the first admission; a late check makes up for 200 ms at most,
    # of which a turn may have been free before.
    passed, late, called = await owner.fetchrow(
        """SELECT extract(epoch FROM max(admitted_at) - min(admitted_at))::float,
            sum(greatest(gap - 0.1, 0))::float, sum(admitted)
        FROM (
            SELECT *, extract(epoch FROM admitted_at - lag(admitted_at) OVER (ORDER BY admitted_at))
                AS gap
            FROM admission
        ) AS a"""
    )
    assert (passed - late) * 10 - 1 <= called <= passed * 10 + 3


async def test_rate_counts_earlier_admissions(services: Services, database: Database) -> None:
    """Earlier admissions count in the first window of a new rate."""
    made = await make_concert(services)
    for _ in range(20):
        await join(services, made.concert_id)
    assert await admit_all(services, made.concert_id) == 20
    for _ in range(20):
        await join(services, made.concert_id)
    rate = RatePolicy(admit=20, every_seconds=60)
    await services.rooms.configure(made.concert_id, RoomSettings(policy=rate))
    called = []
    # The clock goes on during the test too: some seconds are left before the end of the window.
    for seconds in (0, 30, 10, 21):
        await pass_time(database, seconds)
        called.append(await admit_all(services, made.concert_id))
    assert called[:3] == [0, 0, 0]
    assert 0 < called[3] < 20


async def test_line_admits_from_its_opening(services: Services, database: Database) -> None:
    """Users may join but are not admitted; then the line opens at its time."""
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


async def test_closed_line_expires_waiting_places(
    services: Services, database: Database, owner: Owner
) -> None:
    """No user may join, waiting places expire, admitted users may finish."""
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
    await services.payments.pay(inside, reservation.reservation_id, 50_000, None)
    assert await owner.fetchval("SELECT serving FROM waiting_room") == 1


async def test_reopened_line_skips_expired_places(
    services: Services, database: Database, owner: Owner
) -> None:
    """Places that the close has expired are not ahead of new ones."""
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


async def test_paused_line_admits_no_place(services: Services) -> None:
    """No place is admitted; users may join, and admitted users go on."""
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
