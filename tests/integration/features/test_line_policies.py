"""Policies on a line: both bounds together, several processes, and changes of policy."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from frontrow.audit import audit
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.upkeep.jobs import running
from frontrow.waiting_room.policy import (
    AdaptivePolicy,
    MaxActiveAndRatePolicy,
    MaxActivePolicy,
    OpenPolicy,
    Policy,
    RatePolicy,
    bounds,
)
from frontrow.waiting_room.settings import RoomSettings
from testkit.database import Database
from tests.buyers import ConcertOnSale, Owner, admit_all, join, make_concert, pass_time, services_on
from tests.integration.features.stored_places import admitted_numbers

LONGEST_SECONDS = 60


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Services]:
    """A second process on the same database."""
    async with services_on(database) as opened:
        yield opened


@pytest.fixture
def both(services: Services, other: Services) -> tuple[Services, Services]:
    """Both processes."""
    return services, other


async def queue_up(services: Services, made: ConcertOnSale, people: int) -> list[PlaceRef]:
    """Joins ``count`` users; returns their places in order of their numbers."""
    places = await asyncio.gather(*(join(services, made.concert_id) for _ in range(people)))
    return sorted(places, key=lambda place: place.number)


async def set_policy(services: Services, concert_id: UUID, policy: Policy) -> None:
    """Replaces the policy of a line."""
    await services.rooms.configure(concert_id, RoomSettings(policy=policy))


class History:
    """The recorded admissions of a line: time, number of places, active places after it."""

    def __init__(self, rows: Sequence[tuple[datetime, int, int]]) -> None:
        self.rows = rows

    @classmethod
    async def of(cls, owner: Owner, made: ConcertOnSale) -> "History":
        """Returns that of a concert's line."""
        rows = await owner.fetch(
            """SELECT admitted_at, admitted, active FROM admission JOIN waiting_room USING (room_id)
            WHERE concert_id = $1 ORDER BY first_position""",
            made.concert_id,
        )
        return cls([tuple(row) for row in rows])

    @property
    def called(self) -> int:
        """The number of admitted places."""
        return sum(admitted for _, admitted, _ in self.rows)

    @property
    def largest_slice(self) -> int:
        """The most places of one admission."""
        return max(admitted for _, admitted, _ in self.rows)

    @property
    def most_active(self) -> int:
        """The most active places right after an admission."""
        return max(active for _, _, active in self.rows)

    def most_within(self, seconds: float) -> int:
        """The most places admitted in any window of that length, without its beginning."""
        window = timedelta(seconds=seconds)
        return max(
            sum(admitted for at, admitted, _ in self.rows if end - window < at <= end)
            for end, _, _ in self.rows
        )


# Both at once ------------------------------------------------------------------------------------


async def test_both_bounds_bind_in_turn(
    services: Services, other: Services, database: Database, owner: Owner
) -> None:
    """One a second until five are active; then as slots become free, at most one a second."""
    both = MaxActiveAndRatePolicy(max_active=5, admit=10, every_seconds=10)
    made = await make_concert(services, policy=both)
    places = await queue_up(services, made, 20)
    looks = []
    for look in range(8):
        looks.append(await admit_all((services, other)[look % 2], made.concert_id))
        await pass_time(database, 1)
    assert looks == [1, 1, 1, 1, 1, 0, 0, 0]
    for place in places[:3]:
        await services.reservations.leave(place)
    looks = []
    for look in range(5):
        looks.append(await admit_all((services, other)[look % 2], made.concert_id))
        await pass_time(database, 1)
    assert looks == [1, 1, 1, 0, 0]
    assert await admitted_numbers(owner) == [4, 5, 6, 7, 8]
    history = await History.of(owner, made)
    assert (history.most_active, history.largest_slice, history.called) == (5, 1, 8)


async def test_three_processes_keep_both(
    services: Services, other: Services, database: Database, owner: Owner
) -> None:
    """As in a server, with joins and leavers: 30 a second in slices, never 41 active.

    A slice is the allowance since the one before, up to 200 ms of it: six places. No slice has
    more, and no second has 31.
    """
    both = MaxActiveAndRatePolicy(max_active=40, admit=30, every_seconds=1)
    made = await make_concert(services, policy=both)

    async def called(people: int) -> bool:
        return bool(await owner.fetchval("SELECT called >= $1 FROM waiting_room", people))

    async with (
        services_on(database) as third,
        running(services),
        running(other),
        running(third),
        asyncio.timeout(LONGEST_SECONDS),
    ):
        places = await queue_up(services, made, 50)
        await _until(lambda: called(40))
        places += await queue_up(other, made, 50)
        for place in places[:25]:
            await third.reservations.leave(place)
        await _until(lambda: called(65))

    history = await History.of(owner, made)
    assert history.called == 65
    assert history.most_active == 40
    assert history.most_within(1) <= 30
    assert history.largest_slice <= 6
    # The rate is used up: 40 in about 1.2 s, and 25 in 0.7 s.
    first, fortieth = history.rows[0][0], _time_of(history, 40)
    assert timedelta(seconds=1) < fortieth - first < timedelta(seconds=3)
    rows = await owner.fetch("SELECT number FROM place WHERE admitted_at IS NOT NULL ORDER BY 1")
    assert [number for (number,) in rows] == list(range(1, 66))


async def _until(condition: Callable[[], object]) -> None:
    """Waits for a condition in the database."""
    while not await condition():  # type: ignore[misc]  # noqa: ASYNC110 - the database's
        await asyncio.sleep(0.005)


def _time_of(history: History, person: int) -> datetime:
    """Returns the time of the n-th admission."""
    total = 0
    for at, admitted, _ in history.rows:
        total += admitted
        if total >= person:
            return at
    raise AssertionError


_WAITS = st.sampled_from([0, 0.01, 0.1, 0.19, 0.5, 1, 1.9, 2, 5])
_EVENTS = st.lists(st.tuples(_WAITS, st.integers(0, 3)), min_size=1, max_size=12)
_CAPS = st.integers(1, 30)
_RATES = st.sampled_from([(1, 1), (2, 1), (5, 2), (20, 1), (100, 2), (3, 60)])
_POLICIES: st.SearchStrategy[Policy] = st.one_of(
    st.builds(MaxActivePolicy, max_active=_CAPS),
    _RATES.map(lambda rate: RatePolicy(*rate)),
    st.builds(lambda cap, rate: MaxActiveAndRatePolicy(cap, *rate), _CAPS, _RATES),
    st.builds(lambda least, more: AdaptivePolicy(least, least + more, 100), _CAPS, _CAPS),
)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """A separate event loop: Hypothesis calls no coroutines."""
    with asyncio.Runner() as made:
        yield made


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(policy=_POLICIES, events=_EVENTS)
@example(policy=MaxActiveAndRatePolicy(30, 20, 1), events=[(0.19, 0)] * 12)
def test_no_sequence_of_events_breaks_a_bound(
    runner: asyncio.Runner, database: Database, policy: Policy, events: list[tuple[float, int]]
) -> None:
    """Any times and leavers: the cap, and the rate in every window.

    The cap of an adaptive policy grows meanwhile, because all calls are fast.
    """
    allowed = bounds(policy)

    async def happen() -> None:
        async with (
            services_on(database, pool_connections=4) as one,
            services_on(database, pool_connections=2) as two,
        ):
            made = await make_concert(one, policy=policy)
            await two.rooms.snapshot.refresh()
            places = await queue_up(one, made, 40)
            inside: list[PlaceRef] = []
            for turn, (seconds, leavers) in enumerate(events):
                await pass_time(database, seconds)
                await asyncio.gather(*map(one.reservations.leave, inside[:leavers]))
                called = await admit_all((one, two)[turn % 2], made.concert_id)
                inside, places = inside[leavers:] + places[:called], places[called:]
                await two.rooms.adapt([], 0)
            async with one.pool.acquire() as connection:
                history = await History.of(connection, made)
                violations = [found for found in await audit(connection) if found.violations]
        assert violations == []
        if allowed.cap is not None:
            assert history.most_active <= allowed.cap
        if allowed.rate is not None and allowed.rate_seconds is not None:
            assert history.most_within(allowed.rate_seconds) <= allowed.rate
            assert history.largest_slice <= max(1, allowed.rate / allowed.rate_seconds * 0.2)

    runner.run(happen())


# A change of policy ------------------------------------------------------------------------------

EVERY_KIND: list[Policy] = [
    OpenPolicy(),
    MaxActivePolicy(max_active=5),
    RatePolicy(admit=1, every_seconds=1),
    MaxActiveAndRatePolicy(max_active=4, admit=50, every_seconds=1),
    AdaptivePolicy(min_active=6, max_active=9, target_p95_ms=100),
]


@pytest.mark.parametrize(
    ("before", "after"), list(permutations(EVERY_KIND, 2)), ids=lambda policy: type(policy).__name__
)
async def test_change_of_policy_keeps_all_places(
    both: tuple[Services, Services], database: Database, owner: Owner, before: Policy, after: Policy
) -> None:
    """From any kind to any other: places and order stay."""
    services, other = both
    made = await make_concert(services, policy=before)
    places = await queue_up(services, made, 3)
    await admit_all(services, made.concert_id)
    places += await queue_up(other, made, 9)
    await services.reservations.leave(places[6])
    stood = await owner.fetch("SELECT * FROM place ORDER BY number")
    await other.rooms.snapshot.refresh()
    statuses = [await other.rooms.status(place) for place in places[3:]]

    await set_policy(services, made.concert_id, after)

    assert await owner.fetch("SELECT * FROM place ORDER BY number") == stood
    await other.rooms.snapshot.refresh()
    statuses = [await other.rooms.status(place) for place in places[3:]]
    assert [(s.number, s.position, s.ahead, s.state) for s in statuses] == [
        (s.number, s.position, s.ahead, s.state) for s in statuses
    ]
    late = await join(other, made.concert_id)
    assert late.number == 13
    while await owner.fetchval("SELECT count(*) FROM place WHERE state <> 'finished'"):
        await admit_all(services, made.concert_id)
        for number in await admitted_numbers(owner):
            place = [*places, late][number - 1]
            await services.reservations.leave(place)
        await pass_time(database, 1)
    rows = await owner.fetch(
        "SELECT number FROM place WHERE admitted_at IS NOT NULL ORDER BY admitted_at, number"
    )
    assert [number for (number,) in rows] == [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13]
    assert await owner.fetchval("SELECT count(*) FROM policy_change") == 2


async def test_cap_below_the_active_places_removes_none(services: Services, owner: Owner) -> None:
    """No user is removed, and none is admitted until fewer are active than the new cap."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=10))
    places = await queue_up(services, made, 20)
    assert await admit_all(services, made.concert_id) == 10
    inside = await owner.fetch("SELECT * FROM place WHERE state = 'admitted' ORDER BY number")

    await set_policy(services, made.concert_id, MaxActivePolicy(max_active=3))

    looks = [await admit_all(services, made.concert_id)]
    still = await owner.fetch("SELECT * FROM place WHERE state = 'admitted' ORDER BY number")
    assert still == inside
    for place in places[:10]:
        await services.rooms.enter(place)
        await services.reservations.leave(place)
        looks.append(await admit_all(services, made.concert_id))
    # With the eighth leaver two are active: from there on one for one.
    assert looks == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert await admitted_numbers(owner) == [11, 12, 13]


async def test_raised_cap_admits_at_once(services: Services, other: Services, owner: Owner) -> None:
    """In any process; one that knows only the old policy refreshes its snapshot and admits."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=2))
    await queue_up(services, made, 10)
    assert await admit_all(services, made.concert_id) == 2
    await other.rooms.snapshot.refresh()

    await set_policy(services, made.concert_id, MaxActivePolicy(max_active=5))
    assert services.admission_signal._rooms  # its own upkeep is woken
    line = other.rooms.snapshot.by_concert[made.concert_id]
    assert line.policy == MaxActivePolicy(max_active=2)
    assert (await other.rooms.admit(line)).admitted == 0
    assert line.policy == MaxActivePolicy(max_active=5)
    assert await other.rooms.admit(line) == (3, 0, 5, True)

    await set_policy(other, made.concert_id, MaxActivePolicy(max_active=7))
    assert await admit_all(other, made.concert_id) == 2
    assert await admitted_numbers(owner) == [1, 2, 3, 4, 5, 6, 7]


async def test_raised_cap_applies_in_every_process(
    services: Services, other: Services, owner: Owner
) -> None:
    """A process that is not notified admits after its next snapshot, within a second."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=2))
    await queue_up(services, made, 10)
    await admit_all(services, made.concert_id)

    async def called() -> bool:
        return bool(await owner.fetchval("SELECT called = 6 FROM waiting_room"))

    async with running(other), asyncio.timeout(LONGEST_SECONDS):
        await set_policy(services, made.concert_id, MaxActivePolicy(max_active=6))
        await _until(called)
    took = await owner.fetchval(
        """SELECT extract(epoch FROM max(a.admitted_at) - max(c.changed_at))::float
        FROM admission AS a, policy_change AS c"""
    )
    assert 0 <= took < 1


async def test_slower_rate_counts_earlier_admissions(
    services: Services, database: Database, owner: Owner
) -> None:
    """Five in ten seconds were admitted at 0, 2, … 8; then two in ten seconds are allowed."""
    made = await make_concert(services, policy=RatePolicy(admit=5, every_seconds=10))
    await queue_up(services, made, 20)
    looks = []
    for _ in range(5):
        looks.append(await admit_all(services, made.concert_id))
        await pass_time(database, 2)
    assert looks == [1, 1, 1, 1, 1]
    await set_policy(services, made.concert_id, RatePolicy(admit=2, every_seconds=10))
    looks = []
    # At 10 s those of 2, 4, 6 and 8 are in the window, at 15 s that of 6 and 8, at 17 s only 8's.
    for seconds in (5, 2, 2, 3, 5):
        looks.append(await admit_all(services, made.concert_id))
        await pass_time(database, seconds)
    assert looks == [0, 0, 1, 0, 1]
    rows = (await History.of(owner, made)).rows
    for end, _, _ in rows[5:]:
        assert sum(1 for at, _, _ in rows if end - timedelta(seconds=10) < at <= end) <= 2


async def test_faster_rate_admits_at_once(services: Services, database: Database) -> None:
    """After one an hour, a rate of a hundred a second admits the next at once."""
    made = await make_concert(services, policy=RatePolicy(admit=1, every_seconds=3_600))
    await queue_up(services, made, 60)
    assert await admit_all(services, made.concert_id) == 1
    await set_policy(services, made.concert_id, RatePolicy(admit=100, every_seconds=1))
    await pass_time(database, 0.2)
    assert await admit_all(services, made.concert_id) >= 19
