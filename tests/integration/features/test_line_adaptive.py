"""The adaptive policy: one cap for all processes, which follows the latency of the server."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from math import inf
from uuid import UUID

import pytest

from benchmarks.sale_model import adapted_cap
from frontrow.audit import audit
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.upkeep.jobs import running
from frontrow.waiting_room.latency_histogram import BOUNDS_MS, LatencyHistogram
from frontrow.waiting_room.policy import AdaptivePolicy, MaxActivePolicy, OpenPolicy, Policy
from frontrow.waiting_room.settings import RoomSettings
from testkit.database import Database
from tests.buyers import Owner, admit_all, join, make_concert, pass_time, services_on

STEP_SECONDS = 2.0
TARGET_MS = 100
FAST = 0.01
SLOW = 0.4
# One step up is a fiftieth of the range: two places.
POLICY = AdaptivePolicy(min_active=10, max_active=110, target_p95_ms=TARGET_MS)
LONGEST_SECONDS = 60


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Services]:
    """A second process on the same database."""
    async with services_on(database) as opened:
        yield opened


def measured(*seconds: float) -> list[int]:
    """Returns the counts by bucket of calls with these latencies."""
    load = LatencyHistogram()
    for each in seconds:
        load.observe(each)
    return load.take()


async def cap_of(owner: Owner) -> int | None:
    """Returns the present cap of the only line."""
    cap: int | None = await owner.fetchval("SELECT adaptive_cap FROM waiting_room")
    return cap


async def queue_up(services: Services, concert_id: UUID, people: int) -> list[PlaceRef]:
    """Joins ``count`` users; returns their places in order of their numbers."""
    places = await asyncio.gather(*(join(services, concert_id) for _ in range(people)))
    return sorted(places, key=lambda place: place.number)


# The rule ----------------------------------------------------------------------------------------


async def test_the_next_cap(owner: Owner) -> None:
    """3,000 cases: a fiftieth of the range up, a third down, never outside the bounds."""
    chance = random.Random(7)  # noqa: S311 - the same cases in each run
    for _ in range(3_000):
        least = chance.choice([1, 2, 10, 500])
        most = least + chance.choice([0, 1, 49, 50, 99, 100, 5_000])
        cap = chance.randint(least, most)
        p95 = chance.choice([None, 0.5, 99.9, 100, 100.1, 400, inf])
        used_up = chance.random() < 0.5
        found = await owner.fetchval(
            "SELECT waiting_room_adapted_cap($1, $2, $3, $4, $5, $6)",
            cap, p95, used_up, least, most, TARGET_MS,
        )  # fmt: skip
        if p95 is not None and p95 > TARGET_MS:
            assert found == max(least, cap * 67 // 100)
        elif used_up:
            assert found == min(most, cap + max(1, (most - least) // 50))
        else:
            assert found == cap
        assert least <= found <= most
        # The rule as the simulated sales of docs/reference/strategies.md have it.
        policy = AdaptivePolicy(min_active=least, max_active=most, target_p95_ms=TARGET_MS)
        assert found == adapted_cap(cap, p95, used_up=used_up, policy=policy)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], None),
        ([0.01], 0.01),
        ([0.01] * 95 + [0.4] * 5, 0.01),
        ([0.01] * 94 + [0.4] * 6, 0.4),
        ([0.4] * 5 + [0.01] * 95, 0.01),
        ([0.01] * 19 + [0.4], 0.01),
        ([0.01] * 18 + [0.4], 0.4),
        ([50.0], inf),
    ],
)
async def test_95th_percentile_is_the_bound_of_its_bucket(
    owner: Owner, calls: Sequence[float], expected: float | None
) -> None:
    """Returned as the upper bound of its bucket; NULL without calls."""
    found = await owner.fetchval(
        "SELECT waiting_room_quantile($1, $2, 0.95)", measured(*calls), BOUNDS_MS
    )
    bucket = next((b for b in BOUNDS_MS if expected is not None and b >= expected * 1000), inf)
    assert found == (None if expected is None else bucket)


async def test_slow_calls_never_count_as_fast(owner: Owner) -> None:
    """Buckets round up by at most a quarter, so calls that much below the target count as fast."""
    for target in range(1, 2_000, 37):
        for seconds, slow in ((target * 1.001 / 1000, True), (target / 1.251 / 1000, False)):
            p95 = await owner.fetchval(
                "SELECT waiting_room_quantile($1, $2, 0.95)", measured(seconds), BOUNDS_MS
            )
            assert (p95 > target) is slow


# A line under it ---------------------------------------------------------------------------------


async def test_cap_grows_by_steps_and_falls_by_a_third(
    services: Services, database: Database, owner: Owner
) -> None:
    """From ``min_active`` on; the cap grows only while it is used up, even without calls."""
    made = await make_concert(services, policy=POLICY)
    await queue_up(services, made.concert_id, 25)
    caps, called = [], []
    for calls in ([], [FAST], [FAST] * 95 + [SLOW] * 5, [SLOW], [FAST], [SLOW] * 6 + [FAST] * 94):
        called.append(await admit_all(services, made.concert_id))
        await pass_time(database, STEP_SECONDS)
        await services.rooms.adapt(measured(*calls), STEP_SECONDS)
        caps.append(await cap_of(owner))
    # The first report only starts the interval of a step. With 14 admitted, 16 * 0.67 is 10:
    # no user is removed, and none is admitted until fewer are active.
    assert caps == [10, 12, 14, 10, 12, 10]
    assert called == [10, 0, 2, 2, 0, 0]
    assert await owner.fetchval("SELECT count(*) FROM place WHERE state = 'admitted'") == 14


async def test_unused_cap_does_not_grow(
    services: Services, database: Database, owner: Owner
) -> None:
    """Nine of ten slots are used: fast calls don't raise the cap."""
    made = await make_concert(services, policy=POLICY)
    await queue_up(services, made.concert_id, 9)
    assert await admit_all(services, made.concert_id) == 9
    for _ in range(3):
        await services.rooms.adapt(measured(FAST), STEP_SECONDS)
        await pass_time(database, STEP_SECONDS)
    assert await cap_of(owner) == 10


async def test_cap_stays_within_its_bounds(
    services: Services, database: Database, owner: Owner
) -> None:
    """At most ``max_active``, at least ``min_active``."""
    narrow = AdaptivePolicy(min_active=2, max_active=5, target_p95_ms=TARGET_MS)
    made = await make_concert(services, policy=narrow)
    await queue_up(services, made.concert_id, 10)
    caps = []
    for turn in range(12):
        await admit_all(services, made.concert_id)
        await services.rooms.adapt(measured(FAST if turn < 7 else SLOW), STEP_SECONDS)
        await pass_time(database, STEP_SECONDS)
        caps.append(await cap_of(owner))
    assert caps == [2, 3, 4, 5, 5, 5, 5, 3, 2, 2, 2, 2]
    assert await owner.fetchval("SELECT max(active) FROM admission") == 5


async def test_pause_stops_the_cap(services: Services, database: Database, owner: Owner) -> None:
    """No user is admitted during a pause: latencies from then are ignored, also afterwards."""
    made = await make_concert(services, policy=POLICY)
    await queue_up(services, made.concert_id, 20)
    await admit_all(services, made.concert_id)
    await services.rooms.adapt(measured(), STEP_SECONDS)
    await services.rooms.pause(made.concert_id, paused=True)
    for _ in range(5):
        await pass_time(database, STEP_SECONDS)
        await services.rooms.adapt(measured(*[SLOW] * 100), STEP_SECONDS)
        assert await cap_of(owner) == 10
    await services.rooms.pause(made.concert_id, paused=False)
    await services.rooms.adapt(measured(FAST), STEP_SECONDS)
    assert await cap_of(owner) == 12


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (AdaptivePolicy(min_active=1, max_active=200, target_p95_ms=5), 14),
        (AdaptivePolicy(min_active=20, max_active=200, target_p95_ms=5), 20),
        (AdaptivePolicy(min_active=1, max_active=8, target_p95_ms=5), 8),
        (MaxActivePolicy(max_active=8), None),
        (OpenPolicy(), None),
    ],
)
async def test_new_policy_keeps_the_cap_within_its_bounds(
    services: Services, database: Database, owner: Owner, policy: Policy, expected: int | None
) -> None:
    """The cap stays within the bounds of the new policy; another kind of policy has none."""
    made = await make_concert(services, policy=POLICY)
    await queue_up(services, made.concert_id, 20)
    for _ in range(3):
        await admit_all(services, made.concert_id)
        await services.rooms.adapt(measured(FAST), STEP_SECONDS)
        await pass_time(database, STEP_SECONDS)
    assert await cap_of(owner) == 14
    await services.rooms.configure(made.concert_id, RoomSettings(policy=policy))
    assert await cap_of(owner) == expected


# Several processes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ([FAST] * 100, [FAST] * 100, 22),
        ([FAST] * 100, [SLOW] * 5, 22),
        ([FAST] * 100, [SLOW] * 6, 13),
        ([FAST] * 5, [SLOW] * 100, 13),
        ([], [SLOW], 13),
        ([SLOW], [], 13),
        ([FAST], [], 22),
        ([SLOW] * 100, [SLOW] * 100, 13),
    ],
)
async def test_latencies_of_two_processes_count_together(  # noqa: PLR0917 - two of them are the case's
    services: Services,
    database: Database,
    owner: Owner,
    here: Sequence[float],
    there: Sequence[float],
    expected: int,
) -> None:
    """The latencies of both since the last step are judged together, in one step."""
    policy = AdaptivePolicy(min_active=10, max_active=110, target_p95_ms=TARGET_MS)
    made = await make_concert(services, policy=policy)
    await queue_up(services, made.concert_id, 20)
    await owner.execute("UPDATE waiting_room SET adaptive_cap = 20")
    assert await admit_all(services, made.concert_id) == 20
    async with services_on(database) as other:
        await services.rooms.adapt(measured(), STEP_SECONDS)
        await services.rooms.adapt(measured(*here), STEP_SECONDS)
        assert await cap_of(owner) == 20
        await pass_time(database, STEP_SECONDS)
        await other.rooms.adapt(measured(*there), STEP_SECONDS)
        assert await cap_of(owner) == expected
        for process in (services, other):
            await process.rooms.adapt(measured(FAST), STEP_SECONDS)
    assert await cap_of(owner) == expected


async def test_concurrent_reports_take_one_step(
    services: Services, other: Services, database: Database, owner: Owner
) -> None:
    """Two processes report twenty times each concurrently, four times: four steps."""
    made = await make_concert(services, policy=POLICY)
    await queue_up(services, made.concert_id, 40)
    await other.rooms.snapshot.refresh()
    caps = []
    for _ in range(5):
        await admit_all(services, made.concert_id)
        await asyncio.gather(
            *(
                process.rooms.adapt(measured(FAST), 60)
                for process in (services, other)
                for _ in range(20)
            )
        )
        caps.append(await cap_of(owner))
        await pass_time(database, 60)
    assert caps == [10, 12, 14, 16, 18]


async def test_two_running_processes_take_one_step_an_interval(
    services: Services, database: Database, owner: Owner
) -> None:
    """As in a server: the cap grows no faster than with one process, and all slots are used."""
    wide = AdaptivePolicy(min_active=1, max_active=501, target_p95_ms=TARGET_MS)
    made = await make_concert(services, policy=wide)
    await queue_up(services, made.concert_id, 120)
    step = 0.2
    began = await owner.fetchval("SELECT clock_timestamp()")

    async with (
        services_on(database, adaptive_step_seconds=step) as one,
        services_on(database, adaptive_step_seconds=step) as two,
        running(one),
        running(two),
        asyncio.timeout(LONGEST_SECONDS),
    ):
        # Six steps of ten.
        while await owner.fetchval("SELECT called < 61 FROM waiting_room"):  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    rows = await owner.fetch("SELECT cap, active, admitted_at FROM admission ORDER BY admitted_at")
    for row in rows:
        steps = (row["cap"] - 1) / 10
        assert steps == int(steps)
        assert steps * step <= (row["admitted_at"] - began).total_seconds()
        assert row["active"] <= row["cap"]


async def test_moving_cap_is_never_exceeded(
    services: Services, other: Services, owner: Owner
) -> None:
    """Sixty rounds of random load, with joins and leavers in two processes."""
    chance = random.Random(3)  # noqa: S311 - the same in each run
    policy = AdaptivePolicy(min_active=3, max_active=60, target_p95_ms=TARGET_MS)
    made = await make_concert(services, policy=policy, seats=10)
    places = await queue_up(services, made.concert_id, 150)
    inside: list[PlaceRef] = []
    caps = set()
    for _ in range(60):
        here, there = chance.sample([services, other], 2)
        leavers = chance.sample(inside, min(len(inside), chance.randint(0, 3)))
        await asyncio.gather(
            here.rooms.adapt(measured(chance.choice([FAST, FAST, SLOW])), 0),
            *(there.reservations.leave(place) for place in leavers),
            admit_all(here, made.concert_id),
            admit_all(there, made.concert_id),
        )
        rows = await owner.fetch("SELECT number FROM place WHERE state = 'admitted'")
        inside = [places[number - 1] for (number,) in rows]
        caps.add(await cap_of(owner))
    rows = await owner.fetch("SELECT cap, active FROM admission")
    assert len(rows) > 20
    assert all(row["active"] <= row["cap"] for row in rows)
    assert {row["cap"] for row in rows} <= set(range(3, 61))
    assert len(caps) > 2  # it moved, up and down
    assert [found for found in await audit(owner) if found.violations] == []


async def test_outdated_report_is_ignored(
    services: Services, database: Database, owner: Owner
) -> None:
    """After all processes have ended, an hour later, only new latencies count."""
    made = await make_concert(services, policy=POLICY)
    await queue_up(services, made.concert_id, 20)
    await owner.execute("UPDATE waiting_room SET adaptive_cap = 12")
    async with services_on(database) as dying:
        assert await admit_all(dying, made.concert_id) == 12
        await dying.rooms.adapt(measured(), STEP_SECONDS)
        await dying.rooms.adapt(measured(*[SLOW] * 1_000), STEP_SECONDS)
    await pass_time(database, 60)
    await services.rooms.adapt(measured(FAST), STEP_SECONDS)
    assert await cap_of(owner) == 14


async def test_report_for_another_policy_is_ignored(
    services: Services, other: Services, owner: Owner
) -> None:
    """A process that knows only the old policy reports nothing for the new one."""
    made = await make_concert(services, policy=POLICY)
    await other.rooms.snapshot.refresh()
    await services.rooms.configure(made.concert_id, RoomSettings(policy=POLICY))
    await other.rooms.adapt(measured(SLOW), 0)
    assert await owner.fetchval("SELECT count(*) FROM room_load") == 0
    assert await cap_of(owner) == 10
