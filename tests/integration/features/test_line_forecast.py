"""The pace of a line: observation, publication, and the quality of the forecasts."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from frontrow.services import Services
from frontrow.waiting_room.forecasts.observation import forecast_quality
from frontrow.waiting_room.forecasts.queries import ForecastItem, queries
from frontrow.waiting_room.model import ForecastQuality
from frontrow.waiting_room.policy import MaxActivePolicy
from testkit.database import Database
from tests.buyers import Owner, admit_all, join, make_concert, services_on

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CAP = 100
LONGEST_SECONDS = 720.0


class Watched:
    """A line without places: an observation each second, by the database's functions.

    All slots are always used, and a thousand users always wait.
    """

    def __init__(self, owner: Owner, pace: asyncpg.Record) -> None:
        self._owner = owner
        self._chance = random.Random(1)  # noqa: S311 - the same noise in each run
        self.pace = pace
        self.seconds = 0

    @classmethod
    async def begin(cls, owner: Owner) -> "Watched":
        """Resets to a line without observations."""
        pace = await owner.fetchrow(
            "SELECT * FROM waiting_room_first_pace(1, $1, $2, $2, 1000, 0, $2, $3)",
            BEGAN,
            CAP,
            LONGEST_SECONDS,
        )
        assert pace is not None
        return cls(owner, pace)

    async def look(self, finishes: int = 0, leavers: int = 0) -> None:
        """Observes one second later, with the events in it."""
        self.seconds += 1
        self.pace = await self._owner.fetchrow(
            "SELECT * FROM waiting_room_pace_after($1, $2, $3, $4, 1000, $5, $4, $6)",
            tuple(self.pace.values()),
            BEGAN + timedelta(seconds=self.seconds),
            self.pace["called"] + finishes,
            CAP,
            self.pace["left_count"] + leavers,
            LONGEST_SECONDS,
        )

    async def go_on(self, seconds: int, *, session_seconds: float) -> list[float]:
        """Lets places finish at random for a while. Returns the published hazards."""
        published = []
        for _ in range(seconds):
            before = self.pace["finish_hazard"]
            finishes = sum(self._chance.random() < 1 / session_seconds for _ in range(CAP))
            await self.look(finishes)
            if self.pace["finish_hazard"] != before:
                published.append(self.pace["finish_hazard"])
        return published


@pytest.fixture
async def watched(owner: Owner) -> Watched:
    """Returns a line without observations."""
    return await Watched.begin(owner)


async def a_second_later(owner: Owner, seconds: float = 1) -> None:
    """Moves the last observation of every line into the past."""
    await owner.execute(
        "UPDATE line_pace SET looked_at = looked_at - make_interval(secs => $1)", seconds
    )


async def observe(services: Services, room_id: int, *forecasts: tuple[int, int, int]) -> bool:
    """Observes a line and stores forecasts, by position."""
    items = [ForecastItem(room_id, *forecast) for forecast in forecasts]
    return await queries.observe(services.pool, items, rooms=[room_id], keep=5) == [room_id]


async def a_line(services: Services, policy: MaxActivePolicy | None = None) -> tuple[UUID, int]:
    """Creates a concert whose line admits one at a time; returns it and its room."""
    made = await make_concert(services, policy=policy or MaxActivePolicy(max_active=1))
    return made.concert_id, services.rooms.snapshot.by_concert[made.concert_id].room_id


async def pace_of(owner: Owner, room_id: int) -> dict[str, Any]:
    """Returns the row of a line's pace."""
    row = await owner.fetchrow("SELECT * FROM line_pace WHERE room_id = $1", room_id)
    assert row is not None
    return dict(row)


async def judged(owner: Owner, room_id: int) -> list[tuple[int, int | None, bool]]:
    """Returns the stored forecasts: position, whole seconds waited, whether the place left."""
    rows = await owner.fetch(
        """SELECT position, floor(waited_seconds)::int, gone FROM forecast
        WHERE room_id = $1 ORDER BY sample""",
        room_id,
    )
    return [tuple(row) for row in rows]


async def test_first_pace_has_a_wide_band(watched: Watched) -> None:
    """The first pace: sessions of a quarter of their longest time, within a wide band."""
    assert watched.pace["finish_hazard"] == pytest.approx(4 / LONGEST_SECONDS)
    assert watched.pace["finish_spread"] == 0.8
    assert watched.pace["leave_hazard"] == pytest.approx(1 / 36_000)


async def test_pace_is_learnt(watched: Watched) -> None:
    """After a few sessions the published hazard is the true one within a tenth."""
    await watched.go_on(600, session_seconds=100)
    assert watched.pace["finish_hazard"] == pytest.approx(1 / 100, rel=0.1)
    assert watched.pace["finish_spread"] < 0.08


async def test_noise_publishes_no_slower_pace(watched: Watched) -> None:
    """Half an hour of the same line: no forecast becomes longer, few become shorter."""
    await watched.go_on(600, session_seconds=100)
    before = watched.pace["finish_hazard"]
    published = await watched.go_on(1800, session_seconds=100)
    assert published == sorted(published)
    assert all(hazard > before for hazard in published)
    assert len(published) <= 3


async def test_slowdown_is_published(watched: Watched) -> None:
    """When sessions become twice as long, the pace follows step by step."""
    await watched.go_on(600, session_seconds=100)
    published = await watched.go_on(900, session_seconds=200)
    assert published == sorted(published, reverse=True)
    assert watched.pace["finish_hazard"] == pytest.approx(1 / 200, rel=0.25)


async def test_standstill_is_published(watched: Watched) -> None:
    """Without finishes the pace falls, and it rises again with them."""
    await watched.go_on(600, session_seconds=100)
    for _ in range(300):
        await watched.look()
    assert watched.pace["finish_hazard"] < 1 / 200
    await watched.go_on(900, session_seconds=100)
    assert watched.pace["finish_hazard"] == pytest.approx(1 / 100, rel=0.2)


async def test_leave_hazard_is_learnt(watched: Watched) -> None:
    """One of a thousand leaves each second: the leave hazard is learnt too."""
    for _ in range(600):
        await watched.look(leavers=1)
    assert watched.pace["leave_hazard"] == pytest.approx(1 / 1000, rel=0.25)
    assert watched.pace["leave_spread"] < 0.1


async def test_prior_fades_to_nothing(watched: Watched) -> None:
    """After days, or sessions of a few milliseconds, nothing is left of it, without an error."""
    for _ in range(50):
        await watched.look(finishes=100_000, leavers=100)
    assert watched.pace["prior_finishes"] == 0
    watched.pace = dict(watched.pace) | {"prior_departures": 1e-9}
    await watched.look(leavers=1)
    assert watched.pace["prior_departures"] == 0


async def test_gap_is_ignored(watched: Watched) -> None:
    """Events during a long gap between observations are ignored."""
    before = watched.pace
    watched.seconds = 60
    await watched.look(finishes=500)
    for column in ("finishes", "active_seconds", "departures", "finish_hazard"):
        assert watched.pace[column] == before[column]
    assert watched.pace["called"] == before["called"] + 500


async def test_first_observation(services: Services, owner: Owner) -> None:
    """It starts with the expectation from the line's policy and times."""
    concert_id, room_id = await a_line(services)
    await join(services, concert_id)
    await join(services, concert_id)
    await admit_all(services, concert_id)
    assert await observe(services, room_id)
    pace = await pace_of(owner, room_id)
    assert (pace["called"], pace["active"], pace["waiting"], pace["left_count"]) == (1, 1, 1, 0)
    assert pace["finish_hazard"] == pytest.approx(4 / (120 + 600))


async def test_finishes_and_leavers_are_counted(services: Services, owner: Owner) -> None:
    """One of three admitted places has finished, one of three waiting places has left."""
    concert_id, room_id = await a_line(services, MaxActivePolicy(max_active=3))
    places = [await join(services, concert_id) for _ in range(6)]
    await observe(services, room_id)
    first = await pace_of(owner, room_id)
    await admit_all(services, concert_id)
    await services.reservations.leave(places[0])
    await services.reservations.leave(places[5])
    await a_second_later(owner)
    assert await observe(services, room_id)
    pace = await pace_of(owner, room_id)
    assert (pace["called"], pace["active"], pace["waiting"], pace["left_count"]) == (3, 2, 2, 1)
    assert pace["finishes"] - first["finishes"] == pytest.approx(1, abs=0.1)
    assert pace["departures"] - first["departures"] == pytest.approx(1, abs=0.1)


async def test_once_a_second_over_all_processes(
    services: Services, database: Database, owner: Owner
) -> None:
    """Of concurrent calls one observes; the next observation is a second later."""
    _, room_id = await a_line(services)
    async with services_on(database) as other:
        for _ in range(3):
            looked = await asyncio.gather(
                *[observe(process, room_id) for process in (services, other) for _ in range(8)]
            )
            assert looked.count(True) == 1
            assert not await observe(other, room_id)
            await a_second_later(owner)


async def test_observation_waits_for_no_lock(services: Services, owner: Owner) -> None:
    """An observation waits neither for the lock of the line nor for those of its places."""
    concert_id, room_id = await a_line(services)
    await join(services, concert_id)
    async with asyncio.timeout(60), owner.transaction():
        await owner.execute("SELECT FROM waiting_room FOR UPDATE")
        await owner.execute("SELECT FROM place FOR UPDATE")
        assert await observe(services, room_id)


async def test_concurrent_observation_is_skipped(services: Services, owner: Owner) -> None:
    """A call during an observation returns at once."""
    _, room_id = await a_line(services)
    await observe(services, room_id)
    await a_second_later(owner)
    async with asyncio.timeout(60), owner.transaction():
        await owner.execute("SELECT FROM line_pace FOR UPDATE")
        assert not await observe(services, room_id)


async def test_forecasts_are_judged(services: Services, owner: Owner) -> None:
    """After the admission the wait is known; leavers are not judged."""
    concert_id, room_id = await a_line(services)
    places = [await join(services, concert_id) for _ in range(5)]
    await admit_all(services, concert_id)
    await observe(services, room_id)
    await a_second_later(owner)
    # The first is admitted already: it has no forecast.
    forecasts = [(1, 1, 1), (2, 5, 20), (3, 5, 20), (4, 12, 20), (5, 1, 2)]
    assert await observe(services, room_id, *forecasts)
    assert await judged(owner, room_id) == [(at, None, False) for at in (2, 3, 4, 5)]
    assert await forecast_quality(services.pool, concert_id) == ForecastQuality(0, None, None, None)
    await owner.execute("UPDATE forecast SET made_at = made_at - interval '10 seconds'")
    await services.reservations.leave(places[2])
    for place in (places[0], places[1]):
        await services.reservations.leave(place)
        await admit_all(services, concert_id)
    await a_second_later(owner)
    await observe(services, room_id)
    assert await judged(owner, room_id) == [
        (2, 10, False), (3, None, True), (4, 10, False), (5, None, False),
    ]  # fmt: skip
    quality = await forecast_quality(services.pool, concert_id)
    assert (quality.judged, quality.below_p50, quality.below_p90) == (2, 0.5, 1.0)
    # One wait of ten seconds was five longer than forecast, the other two shorter.
    assert quality.median_error_seconds == pytest.approx(3.5, abs=0.5)


async def test_forecasts_of_a_drawn_line(services: Services, owner: Owner) -> None:
    """A forecast is for a position; its place is the one drawn there."""
    concert_id, room_id = await a_line(services)
    places = [await join(services, concert_id) for _ in range(3)]
    await owner.execute("UPDATE waiting_room SET line_order = 'draw', entrants = 2")
    await owner.execute("INSERT INTO drawn VALUES ($1, 1, 2), ($1, 2, 1)", room_id)
    await services.reservations.leave(places[0])
    await observe(services, room_id)
    await a_second_later(owner)
    await observe(services, room_id, (1, 5, 5), (2, 5, 5), (3, 5, 5))
    await admit_all(services, concert_id)
    await services.reservations.leave(places[1])
    for _ in range(2):  # past the entrants, then on to the others
        await admit_all(services, concert_id)
    await a_second_later(owner)
    await observe(services, room_id)
    assert await judged(owner, room_id) == [(1, 0, False), (2, None, True), (3, 0, False)]


async def test_only_the_newest_forecasts_are_kept(services: Services, owner: Owner) -> None:
    """Five are kept of six; the numbers go on."""
    concert_id, room_id = await a_line(services)
    for _ in range(4):
        await join(services, concert_id)
    await observe(services, room_id)
    for _ in range(3):
        await a_second_later(owner)
        await observe(services, room_id, (2, 5, 5), (3, 5, 5))
    rows = await owner.fetch(
        "SELECT sample FROM forecast WHERE room_id = $1 ORDER BY sample", room_id
    )
    assert [row["sample"] for row in rows] == [2, 3, 4, 5, 6]


async def test_unknown_line_stores_nothing(services: Services, owner: Owner) -> None:
    """Nothing is stored for an unknown line."""
    assert not await observe(services, 0)
    assert not await owner.fetchval("SELECT exists(SELECT FROM line_pace WHERE room_id = 0)")
