"""Races of the operator with admission: a lower cap, a pause, and two operators concurrently."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
import pytest

from frontrow.errors import VersionConflict
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.upkeep.jobs import running
from frontrow.waiting_room.policy import MaxActiveAndRatePolicy, MaxActivePolicy, Policy, RatePolicy
from frontrow.waiting_room.settings import RoomSettings
from testkit.database import Database
from tests.buyers import admit_all, join, make_concert
from tests.races.rivals import Rivals, fetch, rivals

Pair = tuple[Services, Services]

HIGH = 10
LOW = 3
LONGEST_SECONDS = 120


async def queue_up(services: Services, concert_id: UUID, people: int) -> list[PlaceRef]:
    """Joins ``count`` users; returns their places in order of their numbers."""
    places = await asyncio.gather(*(join(services, concert_id) for _ in range(people)))
    return sorted(places, key=lambda place: place.number)


def cap_of(cap: int) -> RoomSettings:
    """Returns a policy with a cap."""
    return RoomSettings(policy=MaxActivePolicy(max_active=cap))


async def in_this_order(sides: Rivals, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """Runs calls that queue in this order for the row of the waiting room, then unlocks it."""
    async with sides.one.transaction():
        await sides.one.execute("SELECT FROM waiting_room FOR NO KEY UPDATE")
        tasks = []
        for waiting, call in enumerate(calls, 1):
            tasks.append(asyncio.create_task(call))
            await sides.until(
                """SELECT count(*) = $1 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'""",
                waiting,
            )
    async with asyncio.timeout(LONGEST_SECONDS):
        return list(await asyncio.gather(*tasks))


async def check_history(database: Database) -> list[int]:
    """Fails if an admission exceeded the cap of its time; returns how many each cap admitted."""
    rows = await fetch(
        database,
        """SELECT a.admitted, a.active, a.admitted_at, (
            SELECT (c.policy ->> 'max_active')::int FROM policy_change AS c
            WHERE c.room_id = a.room_id AND c.changed_at <= a.admitted_at
            ORDER BY c.policy_version DESC LIMIT 1
        ) AS cap FROM admission AS a ORDER BY first_position""",
    )
    assert [row for row in rows if row["active"] > row["cap"]] == []
    return [row["cap"] for row in rows]


# A lower cap -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lowered_first", [True, False])
async def test_lower_cap_against_an_admission(
    pair: Pair, database: Database, lowered_first: bool
) -> None:
    """Whichever locks the row first: the low cap admits three users, the high cap ten."""
    made = await make_concert(pair[0], policy=MaxActivePolicy(max_active=HIGH))
    await queue_up(pair[0], made.concert_id, 20)
    await pair[1].rooms.snapshot.refresh()
    line = pair[1].rooms.snapshot.by_concert[made.concert_id]
    lower = pair[0].rooms.configure(made.concert_id, cap_of(LOW))
    admit = pair[1].rooms.admit(line)

    async with rivals(database) as sides:
        await in_this_order(sides, *((lower, admit) if lowered_first else (admit, lower)))

    if lowered_first:  # the admission came too late: it did nothing, and has read the new cap
        assert line.policy == MaxActivePolicy(max_active=LOW)
    called = 0 if lowered_first else HIGH
    rows = await fetch(database, "SELECT count(*) FROM place WHERE state = 'admitted'")
    assert rows[0][0] == called
    assert await admit_all(pair[1], made.concert_id) == (LOW if lowered_first else 0)
    assert await check_history(database) == ([LOW] if lowered_first else [HIGH])


async def test_control_reading_the_cap_first_exceeds_it(database: Database) -> None:
    """Control: reading the cap, and then admitting, admits ten when the cap is already three."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE rule (cap int); INSERT INTO rule VALUES (10)")
        await sides.one.execute("CREATE TABLE spot (number int, cap int)")
        cap = await sides.one.fetchval("SELECT cap FROM rule")
        await sides.other.execute("UPDATE rule SET cap = 3")
        await sides.one.execute("INSERT INTO spot SELECT n, 10 FROM generate_series(1, $1) n", cap)
        assert await sides.one.fetchval("SELECT count(*) FROM spot") == 10
        assert await sides.one.fetchval("SELECT cap FROM rule") == 3


async def test_cap_changes_during_admission_are_respected(pair: Pair, database: Database) -> None:
    """Sixteen changes while two processes admit: no admission exceeds the cap of its time."""
    made = await make_concert(pair[0], policy=MaxActivePolicy(max_active=HIGH))
    places = await queue_up(pair[0], made.concert_id, 600)
    await pair[1].rooms.snapshot.refresh()
    done = asyncio.Event()

    async def admit(services: Services) -> None:
        line = services.rooms.snapshot.by_concert[made.concert_id]
        while not done.is_set():
            await services.rooms.admit(line)

    async def leave() -> None:
        while not done.is_set():
            rows = await fetch(database, "SELECT number FROM place WHERE state = 'admitted'")
            for turn, (number,) in enumerate(rows):
                await pair[turn % 2].reservations.leave(places[number - 1])

    async def change(sides: Rivals) -> None:
        for turn in range(16):
            cap = (LOW, HIGH)[turn % 2]
            await pair[turn // 2 % 2].rooms.configure(made.concert_id, cap_of(cap))
            await sides.until(
                "SELECT exists(SELECT FROM admission WHERE policy_version = $1)", turn + 2
            )
        done.set()

    async with rivals(database) as sides, asyncio.timeout(LONGEST_SECONDS):
        await asyncio.gather(admit(pair[0]), admit(pair[1]), leave(), change(sides))

    caps = await check_history(database)
    assert set(caps) == {LOW, HIGH}
    rows = await fetch(database, "SELECT policy_version FROM policy_change ORDER BY 1")
    assert [version for (version,) in rows] == list(range(1, 18))


# A pause -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("paused_first", [True, False])
async def test_pause_against_an_admission(
    pair: Pair, database: Database, paused_first: bool
) -> None:
    """Whichever locks the row first: after the pause no user is admitted, before it all may be."""
    made = await make_concert(pair[0], policy=MaxActivePolicy(max_active=HIGH))
    await queue_up(pair[0], made.concert_id, 20)
    await pair[1].rooms.snapshot.refresh()
    line = pair[1].rooms.snapshot.by_concert[made.concert_id]
    pause = pair[0].rooms.pause(made.concert_id, paused=True)
    admit = pair[1].rooms.admit(line)

    async with rivals(database) as sides:
        await in_this_order(sides, *((pause, admit) if paused_first else (admit, pause)))

    rows = await fetch(database, "SELECT count(*) FROM place WHERE state = 'admitted'")
    assert rows[0][0] == (0 if paused_first else HIGH)
    assert await admit_all(pair[1], made.concert_id) == 0


async def test_control_reading_the_pause_first_admits_during_it(database: Database) -> None:
    """Control: reading that there is no pause, and then admitting, admits during a pause."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE rule (paused_at timestamptz)")
        await sides.one.execute("INSERT INTO rule VALUES (NULL)")
        await sides.one.execute("CREATE TABLE spot (called_at timestamptz)")
        assert await sides.one.fetchval("SELECT paused_at FROM rule") is None
        await sides.other.execute("UPDATE rule SET paused_at = clock_timestamp()")
        await sides.one.execute("INSERT INTO spot VALUES (clock_timestamp())")
        assert await sides.one.fetchval("SELECT called_at > paused_at FROM spot, rule")


async def test_no_admission_during_a_pause(pair: Pair, database: Database) -> None:
    """Two servers, ten pauses by either: no admission between the answer and the resumption."""
    made = await make_concert(pair[0], policy=RatePolicy(admit=100, every_seconds=1))
    await queue_up(pair[0], made.concert_id, 600)
    pauses: list[tuple[datetime, datetime]] = []

    async with (
        rivals(database) as sides,
        running(pair[0]),
        running(pair[1]),
        asyncio.timeout(LONGEST_SECONDS),
    ):
        for turn in range(10):
            called = await sides.one.fetchval("SELECT called FROM waiting_room")
            await sides.until("SELECT called > $1 FROM waiting_room", called)
            await pair[turn % 2].rooms.pause(made.concert_id, paused=True)
            begin = await sides.one.fetchval("SELECT clock_timestamp()")
            # Longer than the interval at which the upkeep reads the line.
            await sides.until(
                "SELECT clock_timestamp() - $1::timestamptz > interval '120 ms'", begin
            )
            pauses.append((begin, await sides.one.fetchval("SELECT clock_timestamp()")))
            await pair[1 - turn % 2].rooms.pause(made.concert_id, paused=False)

    rows = await fetch(database, "SELECT admitted_at FROM admission ORDER BY 1")
    times = [row["admitted_at"] for row in rows]
    assert [at for at in times for begin, end in pauses if begin <= at <= end] == []
    # Between any two pauses there were users to admit.
    assert all(any(end < at < begin for at in times) for (_, end), (begin, _) in pairwise(pauses))


# Two operators -----------------------------------------------------------------------------------


def numbered(number: int) -> RoomSettings:
    """Returns settings whose parts all contain the same number."""
    policy = MaxActiveAndRatePolicy(max_active=number, admit=number, every_seconds=number)
    return RoomSettings(policy=policy, session_seconds=number, claim_seconds=number)


async def test_last_settings_are_stored_whole(pair: Pair, database: Database) -> None:
    """Two processes configure a line sixty times concurrently: the last version is stored whole.

    Concurrent readers never see parts of two versions.
    """
    made = await make_concert(pair[0])
    done = asyncio.Event()
    looks: list[RoomSettings] = []

    async def look() -> None:
        while not done.is_set():
            looks.append(await pair[1].rooms.settings(made.concert_id))

    async def change() -> None:
        await asyncio.gather(
            *(
                pair[number % 2].rooms.configure(made.concert_id, numbered(number))
                for number in range(1, 61)
            )
        )
        done.set()

    async with asyncio.timeout(LONGEST_SECONDS):
        await asyncio.gather(look(), change())

    first = RoomSettings(policy=looks[0].policy)
    assert [seen for seen in looks if seen not in [first, *map(numbered, range(1, 61))]] == []
    rows = await fetch(
        database, "SELECT policy_version, policy::text FROM policy_change ORDER BY policy_version"
    )
    assert [row["policy_version"] for row in rows] == list(range(1, 62))
    policies = [msgspec.json.decode(row["policy"], type=Policy) for row in rows[1:]]
    assert {getattr(policy, "admit", 0) for policy in policies} == set(range(1, 61))
    for services in pair:
        stored = await services.rooms.settings(made.concert_id)
        assert stored == numbered(getattr(policies[-1], "admit", 0))
        await services.rooms.snapshot.refresh()
        line = services.rooms.snapshot.by_concert[made.concert_id]
        assert (line.policy, line.claim_seconds) == (stored.policy, stored.claim_seconds)


async def test_control_writing_part_by_part_mixes_settings(database: Database) -> None:
    """Control: two settings that are written part by part end as a mixture."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE rule (cap int, seconds int)")
        await sides.one.execute("INSERT INTO rule VALUES (0, 0)")
        await sides.one.execute("UPDATE rule SET cap = 1")
        await sides.other.execute("UPDATE rule SET cap = 2")
        await sides.other.execute("UPDATE rule SET seconds = 2")
        await sides.one.execute("UPDATE rule SET seconds = 1")
        assert tuple(await sides.one.fetchrow("SELECT * FROM rule")) == (2, 1)


async def test_first_of_two_changes_to_one_version_is_applied(
    pair: Pair, database: Database
) -> None:
    """Two processes change one version: the second is refused and gets the new version."""
    made = await make_concert(pair[0])
    version = (await pair[0].rooms.stored_settings(made.concert_id)).version
    changes = [
        services.rooms.configure(made.concert_id, numbered(number), known_versions=[version])
        for number, services in enumerate(pair, 1)
    ]

    async with rivals(database) as sides:
        outcomes = await in_this_order(sides, *map(_refusal, changes))

    assert outcomes == [None, {"etag": f'"{version + 1}"'}]
    stored = await pair[0].rooms.stored_settings(made.concert_id)
    assert stored == (numbered(1), version + 1)


async def test_control_reading_the_version_first_loses_a_change(database: Database) -> None:
    """Control: two processes read one version, unchanged, and write: the first change is lost."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE rule (cap int, version int)")
        await sides.one.execute("INSERT INTO rule VALUES (0, 1)")
        for connection in (sides.one, sides.other):
            assert await connection.fetchval("SELECT version FROM rule") == 1
        await sides.one.execute("UPDATE rule SET cap = 1, version = 2")
        await sides.other.execute("UPDATE rule SET cap = 2, version = 2")
        assert tuple(await sides.one.fetchrow("SELECT * FROM rule")) == (2, 2)


async def _refusal(change: Coroutine[Any, Any, None]) -> Any:
    """Returns the refusal of a change; ``None`` if it is applied."""
    try:
        await change
    except VersionConflict as error:
        return error.fields
    return None
