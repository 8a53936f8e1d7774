"""The settings of a line, and the status of its places."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from frontrow.errors import CredentialInvalid, NotFound, RoomClosed, TokenFinished
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.waiting_room import snapshot_queries
from frontrow.waiting_room.policy import MaxActivePolicy, OpenPolicy
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
from tests.integration.features.stored_places import admitted_numbers, forged, place_row

ONE = MaxActivePolicy(max_active=1)


async def test_configure(services: Services, database: Database, owner: Owner) -> None:
    """Places and numbers stay; the new policy applies at once in every process."""
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


async def test_lower_cap_removes_no_user(services: Services, owner: Owner) -> None:
    """Admitted users stay; the next is admitted once fewer are active than the new cap."""
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


async def test_configure_takes_times(services: Services, database: Database) -> None:
    """A line may be closed by its times, and opened again."""
    made = await make_concert(services)
    now = datetime.now(UTC)
    times = RoomSettings(
        policy=OpenPolicy(), opens_at=now + timedelta(1), closes_at=now + timedelta(2)
    )
    await services.rooms.configure(made.concert_id, times)
    await pass_time(database, timedelta(3).total_seconds())
    with pytest.raises(RoomClosed):
        await join(services, made.concert_id)
    await services.rooms.configure(made.concert_id, RoomSettings(policy=OpenPolicy()))
    assert (await join(services, made.concert_id)).number == 1


async def test_configure_an_unknown_concert(services: Services, database: Database) -> None:
    """An unknown concert has no line."""
    async with refused(database, NotFound):
        await services.rooms.configure(uuid4(), RoomSettings())
    async with refused(database, NotFound):
        await services.rooms.settings(uuid4())


async def test_status_in_every_state(services: Services) -> None:
    """Waiting, admitted, claimed, paid: the fields of the contract."""
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
    await services.payments.pay(place, reservation.reservation_id, 50_000, None)
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


async def test_poll_of_a_waiting_place_reads_nothing(services: Services) -> None:
    """A poll is answered while the database is away."""
    made = await make_concert(services, policy=ONE)
    await buyer(services, made.concert_id)
    place = await join(services, made.concert_id)
    await services.pool.close()
    assert (await services.rooms.status(place)).state == "waiting"


async def test_status_of_a_forged_place(services: Services, database: Database) -> None:
    """If the place may not be waiting, the token must name the stored place."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    async with refused(database, CredentialInvalid):
        await services.rooms.status(forged(place))
    async with refused(database, CredentialInvalid):
        await services.rooms.check_live(forged(place))


async def test_place_that_the_database_lost_is_refused(
    services: Services, database: Database, owner: Owner
) -> None:
    """After a restore of an older backup: beyond the last number, and where another place is."""
    made = await make_concert(services, policy=ONE)
    inside, *lost = [await join(services, made.concert_id) for _ in range(4)]
    await admit_all(services, made.concert_id)
    await owner.execute("DELETE FROM place WHERE number > 1")
    await owner.execute("UPDATE waiting_room SET issued = 1")
    async with services_on(database) as restored:
        for rooms in (restored.rooms, services.rooms):
            await rooms.snapshot.refresh()
            await rooms.snapshot.refresh()  # the first one keeps the joins of this process
            for place in lost:
                async with refused(database, CredentialInvalid):
                    await rooms.status(place)
        again = [await join(restored, made.concert_id) for _ in range(2)]
        assert [place.number for place in again] == [2, 3]
        for rooms in (restored.rooms, services.rooms):
            await rooms.snapshot.refresh()
            for place in lost:
                async with refused(database, CredentialInvalid):
                    await rooms.status(place)
            assert [(await rooms.status(place)).ahead for place in again] == [0, 1]
            assert (await rooms.status(inside)).state == "admitted"


async def test_place_of_another_process_waits_while_the_database_is_away(
    services: Services, database: Database
) -> None:
    """Its first poll here would read it; the line has issued its number."""
    made = await make_concert(services, policy=ONE)
    await buyer(services, made.concert_id)
    place = await join(services, made.concert_id)
    async with services_on(database, deadline_seconds=0.1) as other:
        await other.rooms.snapshot.refresh()
        await other.pool.close()
        assert (await other.rooms.status(place)).state == "waiting"


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


async def test_concurrent_refreshes_count_each_leaver_once(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Concurrent refreshes of one process count each leaver once."""
    read = snapshot_queries.queries.left_between
    two = asyncio.Event()
    reading = 0

    async def left_between(*args: Any, **named: Any) -> Any:
        """Waits up to 0.2 s for a second refresh to get here too."""
        nonlocal reading
        reading += 1
        if reading == 2:
            two.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(two.wait(), 0.2)
        return await read(*args, **named)

    monkeypatch.setattr(snapshot_queries.queries, "left_between", left_between)
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


async def test_new_process_reads_the_same_line(services: Services, database: Database) -> None:
    """Earlier leavers are subtracted too, except those behind whom no place waits."""
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
    """Returns state, users ahead and user of a place."""
    status = await services.rooms.status(place)
    return status.state, status.ahead, status.user_id


async def test_stock_in_the_snapshot(services: Services) -> None:
    """Waiting users see the number of free seats, neither held nor sold."""
    made = await make_concert(services, seats=10, shows=2)
    place = await buyer(services, made.concert_id, 100_000)
    line = services.rooms.snapshot.by_concert[made.concert_id]
    assert (line.seats_available, line.seats_total) == (20, 20)
    await services.reservations.hold(place, made.shows[0], [1, 2], None)
    await services.rooms.snapshot.refresh_counts()
    assert (line.seats_available, line.seats_total) == (18, 20)
