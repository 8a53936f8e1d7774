"""The states of a line: scheduled, open, paused, sold out, closed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from frontrow.errors import InvalidRequest, RoomClosed, TokenFinished
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.upkeep.jobs import running
from frontrow.upkeep.statistics import refresh_counts
from frontrow.waiting_room import line_upkeep
from frontrow.waiting_room.policy import MaxActivePolicy
from frontrow.waiting_room.queries import queries
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
TWO = MaxActivePolicy(max_active=2)
PRICE = 50_000
LONGEST_SECONDS = 60


def soon(seconds: float) -> datetime:
    """Returns a time from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Services]:
    """A second process on the same database."""
    async with services_on(database) as opened:
        yield opened


async def state(services: Services, concert_id: UUID) -> str:
    """Returns the present state of a line."""
    await services.rooms.snapshot.refresh()
    await refresh_counts(services)
    return (await services.rooms.document(concert_id)).state


async def stand(services: Services, places: list[PlaceRef]) -> list[tuple[str, str | None]]:
    """Returns the states and reasons of places."""
    statuses = [await services.rooms.status(place) for place in places]
    return [(status.state, status.reason) for status in statuses]


async def reschedule(services: Services, concert_id: UUID, **times: datetime | None) -> None:
    """Replaces the times of a line; its other settings stay."""
    stands = await services.rooms.settings(concert_id)
    await services.rooms.configure(concert_id, replace(stands, **times))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a condition in the database."""
    while not await condition():  # noqa: ASYNC110 - the condition is the database's
        await asyncio.sleep(0.005)


async def test_line_through_all_states(
    services: Services, other: Services, database: Database, owner: Owner
) -> None:
    """One line through all its states, in two processes.

    It opens after 60 s and closes after 120 s; a user joins every 20 s, a slot is freed at 80.
    """
    made = await make_concert(services, policy=TWO, opens_at=soon(60), closes_at=soon(120))
    line = made.concert_id
    places, seen, called = [], [], []
    for moment in range(0, 120, 20):
        process = (services, other)[moment // 20 % 2]
        places.append(await join(process, line))
        if moment == 80:
            await process.reservations.leave(places[0])
        called.append(await admit_all(process, line))
        seen.append((await state(services, line), await state(other, line)))
        await pass_time(database, 20)
    assert seen == [("scheduled", "scheduled")] * 3 + [("open", "open")] * 3
    assert called == [0, 0, 0, 2, 1, 0]

    with pytest.raises(RoomClosed):
        await join(other, line)
    assert (await state(services, line), await state(other, line)) == ("closed", "closed")
    assert await admit_all(other, line) == 0
    assert await stand(services, places) == [
        ("finished", "left"),
        ("admitted", None),
        ("admitted", None),
        *[("finished", "expired")] * 3,
    ]
    # Admitted users may finish, also with a new hold.
    await services.ledger.charge(places[1], PRICE, None)
    held, _ = await services.reservations.hold(places[1], made.shows[0], [1], None)
    await other.payments.pay(places[1], held.reservation_id, PRICE, None)
    assert await admit_all(services, line) == 0  # its slot is not used again
    assert await stand(other, places[1:3]) == [("finished", "paid"), ("admitted", None)]
    times = await owner.fetchrow(
        """SELECT bool_and(admitted_at >= opens_at AND admitted_at < closes_at) AS called_open,
            bool_and(finished_at >= closes_at) FILTER (WHERE reason = 'expired') AS ended_after
        FROM place JOIN waiting_room USING (room_id)"""
    )
    assert tuple(times) == (True, True)


async def test_line_opens_and_closes_at_its_times(
    services: Services, other: Services, owner: Owner
) -> None:
    """In running servers, by the database's clock: without a call, and never early."""
    made = await make_concert(services, policy=ONE, opens_at=soon(3600), closes_at=soon(7200))
    for _ in range(3):
        await join(services, made.concert_id)

    async def is_open() -> bool:
        return bool(await owner.fetchval("SELECT count(admitted_at) FROM place"))

    async def is_closed() -> bool:
        return bool(await owner.fetchval("SELECT count(*) = 2 FROM place WHERE reason = 'expired'"))

    async with running(services), running(other), asyncio.timeout(LONGEST_SECONDS):
        for column, reached in (("opens_at", is_open), ("closes_at", is_closed)):
            await owner.execute(
                f"UPDATE waiting_room SET {column} = clock_timestamp() + interval '0.3 s'"  # noqa: S608 - one of two columns
            )
            await until(reached)
    on_time, called = await owner.fetchrow(
        """SELECT bool_and(admitted_at >= opens_at) AND bool_and(finished_at >= closes_at),
            count(admitted_at)
        FROM place JOIN waiting_room USING (room_id)"""
    )
    assert (on_time, called) == (True, 1)


async def test_close_expires_waiting_places_in_batches(
    services: Services, database: Database, owner: Owner
) -> None:
    """By number; each counts once as a leaver, behind earlier leavers."""
    made = await make_concert(services, policy=ONE, closes_at=soon(60))
    await buyer(services, made.concert_id)
    places = [await join(services, made.concert_id) for _ in range(10)]
    await services.reservations.leave(places[4])
    close = queries.close
    room_id = places[0].room_id
    assert await close(owner, room_id=room_id, after=0, limit=4) is None  # not yet
    await pass_time(database, 60)
    ends = [0]
    while (end := await close(owner, room_id=room_id, after=ends[-1], limit=4)) is not None:
        ends.append(end)
    # 2..11 wait, without 6, which has left.
    assert ends == [0, 5, 10, 11]
    rows = await owner.fetch(
        "SELECT number, reason::text FROM place WHERE left_seq IS NOT NULL ORDER BY left_seq"
    )
    assert [tuple(row) for row in rows] == [
        (6, "left"),
        *[(number, "expired") for number in (2, 3, 4, 5, 7, 8, 9, 10, 11)],
    ]
    assert await owner.fetchval("SELECT left_count FROM waiting_room") == 10


async def test_two_processes_close_a_line_together(
    services: Services,
    other: Services,
    database: Database,
    owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In small batches, in turns: every waiting place is expired and counted once."""
    monkeypatch.setattr(line_upkeep, "_CLOSE_BATCH", 7)
    made = await make_concert(services, policy=ONE, closes_at=soon(60))
    inside = await buyer(services, made.concert_id)
    await asyncio.gather(*(services.rooms.join(uuid4(), made.concert_id) for _ in range(100)))
    await pass_time(database, 60)
    lines = []
    for process in (services, other):
        await process.rooms.snapshot.refresh()
        lines.append(process.rooms.snapshot.by_concert[made.concert_id])
    await asyncio.gather(services.rooms.close(lines[0]), other.rooms.close(lines[1]))
    assert await services.rooms.admit(lines[0]) == (0, 0, 1, False)
    rows = await owner.fetch("SELECT left_seq FROM place WHERE reason = 'expired' ORDER BY 1")
    assert [seq for (seq,) in rows] == list(range(1, 101))
    assert await stand(other, [inside]) == [("admitted", None)]


async def test_postponed_close_expires_no_place(
    services: Services, database: Database, owner: Owner
) -> None:
    """A close that is postponed in time expires no place."""
    made = await make_concert(services, policy=ONE, closes_at=soon(60))
    first = await buyer(services, made.concert_id)
    places = [await join(services, made.concert_id) for _ in range(2)]
    await pass_time(database, 50)
    await reschedule(services, made.concert_id, closes_at=soon(60))
    await pass_time(database, 30)
    await services.reservations.leave(first)
    assert await admit_all(services, made.concert_id) == 1
    assert await stand(services, places) == [("admitted", None), ("waiting", None)]
    assert await admitted_numbers(owner) == [2]


async def test_an_opening_is_moved(services: Services, database: Database) -> None:
    """Postponed: no admission at the old time; removed: all are admitted at once."""
    made = await make_concert(services, opens_at=soon(60))
    for _ in range(3):
        await join(services, made.concert_id)
    await reschedule(services, made.concert_id, opens_at=soon(120))
    await pass_time(database, 90)
    assert (await state(services, made.concert_id), await admit_all(services, made.concert_id)) == (
        "scheduled",
        0,
    )
    async with refused(
        database, InvalidRequest, errors=[{"pointer": "/opens_at", "detail": "it has passed"}]
    ):
        await reschedule(services, made.concert_id, opens_at=soon(-1))
    await reschedule(services, made.concert_id, opens_at=None)
    assert (await state(services, made.concert_id), await admit_all(services, made.concert_id)) == (
        "open",
        3,
    )


# Paused ------------------------------------------------------------------------------------------


async def test_admitted_users_go_on_during_a_pause(
    services: Services, other: Services, database: Database, owner: Owner
) -> None:
    """They hold and pay, or expire; their slots are used only after the pause."""
    made = await make_concert(services, policy=TWO, claim_seconds=60)
    line = made.concert_id
    places = [await join(services, line) for _ in range(5)]
    assert await admit_all(services, line) == 2
    await services.rooms.pause(line, paused=True)
    payer, idler = places[:2]
    await services.ledger.charge(payer, PRICE, None)
    held, _ = await other.reservations.hold(payer, made.shows[0], [1], None)
    await services.payments.pay(payer, held.reservation_id, PRICE, None)
    await pass_time(database, 61)
    assert [await admit_all(process, line) for process in (services, other)] == [0, 0]
    assert await stand(other, places) == [
        ("finished", "paid"),
        ("finished", "expired"),
        *[("waiting", None)] * 3,
    ]
    async with refused(database, TokenFinished, reason="expired"):
        await services.rooms.enter(idler)
    late = await join(other, line)
    assert (late.number, await state(other, line)) == (6, "paused")

    await other.rooms.pause(line, paused=False)
    assert await state(services, line) == "open"
    assert await admit_all(services, line) == 2
    assert await admitted_numbers(owner) == [3, 4]


async def test_pause_across_opening_and_close(services: Services, database: Database) -> None:
    """A pause lasts beyond the opening; the close takes precedence: waiting places expire."""
    made = await make_concert(services, policy=ONE, opens_at=soon(60), closes_at=soon(120))
    line = made.concert_id
    places = [await join(services, line) for _ in range(2)]
    await services.rooms.pause(line, paused=True)
    seen = []
    for _ in range(3):
        seen.append((await state(services, line), await admit_all(services, line)))
        await pass_time(database, 45)
    assert seen == [("paused", 0), ("paused", 0), ("paused", 0)]
    assert (await state(services, line), await admit_all(services, line)) == ("closed", 0)
    assert await stand(services, places) == [("finished", "expired")] * 2
    await services.rooms.pause(line, paused=False)
    assert (await state(services, line), await admit_all(services, line)) == ("closed", 0)


# Sold out ----------------------------------------------------------------------------------------


async def test_sold_out_until_a_seat_is_released(services: Services, owner: Owner) -> None:
    """Without free seats the line is sold out, but users may join and are admitted."""
    made = await make_concert(services, policy=TWO, seats=2)
    line, show = made.concert_id, made.shows[0]
    payer = await buyer(services, line, PRICE)
    holder = await buyer(services, line, PRICE)
    waiting = await join(services, line)
    sold, _ = await services.reservations.hold(payer, show, [1], None)
    assert await state(services, line) == "open"
    held, _ = await services.reservations.hold(holder, show, [2], None)
    assert await state(services, line) == "sold_out"

    await services.payments.pay(payer, sold.reservation_id, PRICE, None)
    assert await state(services, line) == "sold_out"
    status = await services.rooms.status(waiting)
    assert (status.state, status.room_state, status.seats_available) == ("waiting", "sold_out", 0)
    assert (await join(services, line)).number == 4
    assert await admit_all(services, line) == 1  # the slot of the buyer

    await services.reservations.release(held.reservation_id, holder.user_id, holder)
    assert await state(services, line) == "open"
    await services.reservations.leave(holder)
    assert await admit_all(services, line) == 1
    assert await admitted_numbers(owner) == [3, 4]
    await services.ledger.charge(waiting, PRICE, None)
    bought, _ = await services.reservations.hold(waiting, show, [2], None)
    await services.payments.pay(waiting, bought.reservation_id, PRICE, None)
    assert await state(services, line) == "sold_out"


async def test_sold_out_until_a_hold_ends(services: Services, database: Database) -> None:
    """Without any upkeep."""
    made = await make_concert(services, policy=ONE, seats=1, hold_seconds=60)
    holder = await buyer(services, made.concert_id)
    await services.reservations.hold(holder, made.shows[0], [1], None)
    states = [await state(services, made.concert_id)]
    await pass_time(database, 30)
    states.append(await state(services, made.concert_id))
    await pass_time(database, 30)
    states.append(await state(services, made.concert_id))
    assert states == ["sold_out", "sold_out", "open"]


async def test_precedence_of_states(services: Services, database: Database) -> None:
    """Closed, paused and scheduled take precedence over sold out."""
    made = await make_concert(services, policy=ONE, seats=1)
    line = made.concert_id
    holder = await buyer(services, line)
    await services.reservations.hold(holder, made.shows[0], [1], None)
    states = [await state(services, line)]
    await services.rooms.pause(line, paused=True)
    states.append(await state(services, line))
    await services.rooms.pause(line, paused=False)
    await reschedule(services, line, opens_at=soon(60), closes_at=soon(120))
    states.append(await state(services, line))
    await pass_time(database, 60)
    states.append(await state(services, line))
    await pass_time(database, 60)
    states.append(await state(services, line))
    assert states == ["sold_out", "paused", "scheduled", "sold_out", "closed"]
