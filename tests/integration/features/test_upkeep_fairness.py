"""Upkeep of many lines: no line delays another, and ended ones leave every loop."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from frontrow.services import Services
from frontrow.upkeep import lines
from frontrow.upkeep.admission import Admission
from frontrow.upkeep.loop import for_each
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.line_upkeep import Admitted
from frontrow.waiting_room.policy import AdaptivePolicy, MaxActivePolicy, OpenPolicy
from testkit.database import Database
from tests.buyers import ConcertOnSale, Owner, buyer, join, make_concert, pass_time

ONE = MaxActivePolicy(max_active=1)
ADAPTIVE = AdaptivePolicy(min_active=1, max_active=50, target_p95_ms=100)
LOCK = "SELECT FROM waiting_room WHERE concert_id = $1 FOR NO KEY UPDATE"


async def called(owner: Owner, made: ConcertOnSale) -> int:
    """Returns how many places a line has admitted."""
    count: int = await owner.fetchval(
        "SELECT called FROM waiting_room WHERE concert_id = $1", made.concert_id
    )
    return count


async def test_locked_line_delays_no_other(services: Services, owner: Owner) -> None:
    """The others are admitted meanwhile; it is admitted as soon as the lock is released."""
    locked, well = [await make_concert(services, policy=ONE) for _ in range(2)]
    places = [await join(services, made.concert_id) for made in (locked, well)]
    admission = Admission(services)
    async with owner.transaction():
        await owner.execute(LOCK, locked.concert_id)
        for _ in range(2):
            await admission._round({place.room_id for place in places})
            assert [await called(owner, made) for made in (locked, well)] == [0, 1]
        assert list(admission._alone) == [places[0].room_id]
    assert await admission.run_once(set()) == 1
    assert [await called(owner, made) for made in (locked, well)] == [1, 1]


async def test_locked_line_delays_no_step_of_another_cap(
    services: Services, database: Database, owner: Owner
) -> None:
    """The cap of an adaptive policy grows, while another line is locked."""
    locked, well = [await make_concert(services, policy=ADAPTIVE) for _ in range(2)]
    for made in (locked, well):
        await buyer(services, made.concert_id)
    await services.rooms.adapt([], 1)
    await pass_time(database, 1)
    caps = "SELECT adaptive_cap FROM waiting_room ORDER BY room_id"
    async with owner.transaction():
        await owner.execute(LOCK, locked.concert_id)
        adapting = asyncio.create_task(services.rooms.adapt([], 1))
        async with asyncio.timeout(30):
            while [cap for (cap,) in await owner.fetch(caps)] != [1, 2]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    await adapting
    assert [cap for (cap,) in await owner.fetch(caps)] == [2, 2]


async def test_busy_line_starves_no_other(services: Services, owner: Owner) -> None:
    """A line that admits thousands is admitted beside the others, also if it comes first."""
    busy = await make_concert(services, policy=OpenPolicy())
    small = [await make_concert(services, policy=ONE) for _ in range(3)]
    await asyncio.gather(*[services.rooms.join(uuid4(), busy.concert_id) for _ in range(600)])
    rooms = {services.rooms.snapshot.by_concert[busy.concert_id].room_id}
    for made in small:
        await join(services, made.concert_id)
    admission = Admission(services)
    # The busy line alone is woken, so that it comes first; the tick finds the others.
    await admission._round(rooms)
    assert [await called(owner, made) for made in small] == [1, 1, 1]
    await admission.run_once(set())
    assert await called(owner, busy) == 600


async def test_line_woken_while_it_is_admitted_is_checked_again(
    services: Services, owner: Owner
) -> None:
    """Its wake-up isn't lost."""
    made = await make_concert(services, policy=ONE)
    first, second = [await join(services, made.concert_id) for _ in range(2)]
    admission = Admission(services)
    async with owner.transaction():
        await owner.execute(LOCK, made.concert_id)
        await admission._round({first.room_id})
    await asyncio.gather(*admission._alone.values())
    assert await called(owner, made) == 1
    await services.reservations.leave(first)
    admission._check_due = float("inf")
    # Nothing but the end of the first admission says so.
    assert await admission.run_once(set()) == 1
    assert (await services.rooms.status(second)).state == "admitted"


async def test_line_woken_while_it_is_admitted_wakes_the_loop(
    services: Services, owner: Owner
) -> None:
    """At the end of its admission, not at the next tick; without a wake-up it doesn't."""
    made = await make_concert(services, policy=ONE)
    place = await join(services, made.concert_id)
    admission = Admission(services)
    woken = []
    for wake_ups in (1, 2):
        async with owner.transaction():
            await owner.execute(LOCK, made.concert_id)
            admission._start_alone(services.rooms.snapshot.lines[place.room_id])
            for _ in range(1, wake_ups):
                await admission._round({place.room_id})
            await services.admission_signal.wait(0)  # clears the earlier wake-ups
        await asyncio.gather(*admission._alone.values())
        woken.append(await services.admission_signal.wait(0))
    assert woken == [set(), {place.room_id}]


async def test_busy_lines_admitted_alone_starve_no_other(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four lines that always have more to admit take turns with a fifth."""
    made = [await make_concert(services, policy=ONE) for _ in range(5)]
    *busy, last = [services.rooms.snapshot.by_concert[one.concert_id] for one in made]
    calls = []

    async def admit(line: Line) -> Admitted:
        calls.append(line)
        await asyncio.sleep(0)
        return Admitted(1, 0, 1, more=last not in calls and len(calls) < 100)

    monkeypatch.setattr(services.rooms, "admit", admit)
    admission = Admission(services)
    for line in (*busy, last):
        admission._start_alone(line)
    await asyncio.gather(*admission._alone.values())
    assert calls.index(last) == 4


async def test_failure_for_all_of_a_line_admitted_alone_fails_the_next_round(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, so that it is logged and followed by a pause."""
    made = await make_concert(services, policy=ONE)

    async def admit(_line: Line) -> Admitted:
        raise asyncpg.DiskFullError

    monkeypatch.setattr(services.rooms, "admit", admit)
    admission = Admission(services)
    admission._start_alone(services.rooms.snapshot.by_concert[made.concert_id])
    with pytest.raises(asyncpg.DiskFullError):
        await admission.run_once(set())
    assert await admission.run_once(set()) == 0


async def test_caps_are_adapted_in_small_transactions(
    services: Services, database: Database, owner: Owner
) -> None:
    """Sixteen lines in one transaction."""
    for _ in range(17):
        await buyer(services, (await make_concert(services, policy=ADAPTIVE)).concert_id)
    await services.rooms.adapt([], 1)
    await pass_time(database, 1)
    await services.rooms.adapt([], 1)
    transactions = await owner.fetch(
        "SELECT count(*) FROM waiting_room GROUP BY xmin::text ORDER BY 1"
    )
    assert [count for (count,) in transactions] == [1, 16]


async def test_lines_with_little_work_are_admitted_together(
    services: Services, owner: Owner
) -> None:
    """Sixteen in one transaction, each by its own policy."""
    made = [await make_concert(services, policy=ONE) for _ in range(17)]
    for one in made:
        await join(services, one.concert_id)
        await join(services, one.concert_id)
    assert await Admission(services).run_once(set()) == 17
    transactions = await owner.fetch(
        "SELECT count(*) FROM place WHERE state = 'admitted' GROUP BY xmin::text ORDER BY 1"
    )
    assert [count for (count,) in transactions] == [1, 16]


async def test_ended_concerts_leave_every_loop(services: Services, database: Database) -> None:
    """A closed line, and one whose users have all bought: no job works for them."""
    closed = await make_concert(
        services, policy=ONE, closes_at=datetime.now(UTC) + timedelta(seconds=60)
    )
    sold_out = await make_concert(services, seats=1)
    for made in (closed, sold_out):
        await buyer(services, made.concert_id)
        await join(services, made.concert_id)
    snapshot = services.rooms.snapshot
    await snapshot.refresh()
    assert len(snapshot.in_use()) == 2
    await pass_time(database, 3_600)
    await snapshot.refresh()
    await lines.close(services)
    await Admission(services).run_once(set())
    for room_id in await snapshot.refresh_active():
        await services.rooms.admit(snapshot.lines[room_id])
    await pass_time(database, 3_600)
    await Admission(services).run_once(set())
    await snapshot.refresh()
    await snapshot.refresh_active()
    assert snapshot.in_use() == []
    assert snapshot.closings == set()
    assert await services.rooms.admission_work([], every=True) == {}


async def test_for_each_limits_the_items_at_once() -> None:
    """A failure doesn't stop the others; it is raised at the end."""
    most, running, done = 0, 0, []

    async def act(item: int) -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        if item == 2:
            raise ValueError
        done.append(item)

    with pytest.raises(ValueError, match=r"^$"):
        await for_each(range(7), act, at_once=3)
    assert (most, sorted(done)) == (3, [0, 1, 3, 4, 5, 6])
