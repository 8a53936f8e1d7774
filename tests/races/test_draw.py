"""Races at the opening of a drawn line: two processes that draw, and concurrent joins."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.upkeep.jobs import running
from frontrow.waiting_room.policy import MaxActivePolicy
from testkit.database import Database
from tests import draws
from tests.buyers import ConcertOnSale, join, make_concert, pass_time
from tests.races.rivals import Rivals, fetch, rivals

Pair = tuple[Services, Services]

LONG_SECONDS = 3600
LONGEST_SECONDS = 120
JOIN = "SELECT number FROM waiting_room_join($1, ARRAY[$2::uuid], '{NULL}', ARRAY[$3::uuid])"
CLOSE = "SELECT waiting_room_close_entries($1)"
DRAW = "SELECT waiting_room_draw($1)"


async def drawn_line(services: Services, seconds: float = LONG_SECONDS) -> ConcertOnSale:
    """Creates a concert whose line is drawn soon, with few admissions afterwards."""
    return await make_concert(
        services,
        policy=MaxActivePolicy(max_active=10),
        opens_at=datetime.now(UTC) + timedelta(seconds=seconds),
        order="draw",
    )


async def crowd_in(pair: Pair, made: ConcertOnSale, people: int) -> list[PlaceRef]:
    """Joins ``count`` users through both processes; returns their places by number."""
    places = await asyncio.gather(
        *(join(pair[turn % 2], made.concert_id) for turn in range(people))
    )
    return sorted(places, key=lambda place: place.number)


async def check_order(
    pair: Pair, database: Database, made: ConcertOnSale, entrants: list[PlaceRef]
) -> list[int]:
    """Fails unless both processes have the serving order of the rule; returns the positions."""
    draw = await pair[0].draws.draw(made.concert_id)
    entries = draws.entries_of(place.place_id for place in entrants)
    assert draw.seed is not None
    assert (draw.entrants, draw.digest) == (len(entrants), draws.digest_of(entries))
    positions = draws.positions_of(draw.seed, entries)
    rows = await fetch(
        database,
        "SELECT number, position FROM drawn WHERE room_id = $1 ORDER BY number",
        pair[0].rooms.snapshot.by_concert[made.concert_id].room_id,
    )
    assert [tuple(row) for row in rows] == list(enumerate(positions, 1))
    for services in pair:
        await services.rooms.snapshot.refresh()
        line = services.rooms.snapshot.by_concert[made.concert_id]
        assert list(line.positions or ()) == positions
    return positions


async def test_two_processes_draw_a_line_once(pair: Pair, database: Database) -> None:
    """20 lines open at one moment, each process tries each five times: one draw per line."""
    lines = [await drawn_line(pair[0]) for _ in range(20)]
    places = [await crowd_in(pair, made, 30) for made in lines]
    await pass_time(database, LONG_SECONDS)
    for services in pair:
        await services.rooms.snapshot.refresh()

    async def draw(made: ConcertOnSale, services: Services) -> bool:
        line = services.rooms.snapshot.by_concert[made.concert_id]
        assert line.draw_due
        return await services.rooms.draw(line)

    calls = [(made, services) for _ in range(5) for made in lines for services in pair]
    drawn = await asyncio.gather(*(draw(made, services) for made, services in calls))

    assert Counter(drawn) == {True: 20, False: 180}
    by_line = Counter(made.concert_id for (made, _), here in zip(calls, drawn, strict=True) if here)
    assert by_line == Counter(made.concert_id for made in lines)
    for made, entrants in zip(lines, places, strict=True):
        await check_order(pair, database, made, entrants)


async def opened_line(
    pair: Pair, database: Database, people: int
) -> tuple[ConcertOnSale, list[PlaceRef]]:
    """Creates a line whose opening time has come, known to both processes and not drawn yet."""
    made = await drawn_line(pair[0])
    places = await crowd_in(pair, made, people)
    await pass_time(database, LONG_SECONDS)
    for services in pair:
        await services.rooms.snapshot.refresh()
    return made, places


async def test_second_process_does_not_wait_for_a_draw(pair: Pair, database: Database) -> None:
    """It returns without waiting, and does not draw again after the first process has committed."""
    made, places = await opened_line(pair, database, 9)
    room = places[0].room_id
    line = pair[0].rooms.snapshot.by_concert[made.concert_id]
    async with rivals(database) as sides:
        assert await sides.one.fetchval(CLOSE, room) is True
        holding = sides.one.transaction()
        await holding.start()
        await sides.one.execute("SELECT FROM draw WHERE room_id = $1 FOR NO KEY UPDATE", room)
        assert await pair[0].rooms.draw(line) is False
        assert (await pair[0].draws.draw(made.concert_id)).drawn_at is None
        # Joins don't wait for a draw either.
        assert (await join(pair[1], made.concert_id)).number == 10
        assert await sides.one.fetchval(DRAW, room) == 9
        await holding.commit()
    assert await pair[0].rooms.draw(line) is False
    await check_order(pair, database, made, places)


async def test_failed_draw_is_repeated_by_the_other_process(pair: Pair, database: Database) -> None:
    """The work of the first process is rolled back; the other one draws the same entrants."""
    made, places = await opened_line(pair, database, 9)
    room = places[0].room_id
    async with rivals(database) as sides:
        assert await sides.one.fetchval(CLOSE, room) is True
        dying = sides.one.transaction()
        await dying.start()
        assert await sides.one.fetchval(DRAW, room) == 9
        await dying.rollback()
    assert await pair[1].rooms.draw(pair[1].rooms.snapshot.by_concert[made.concert_id])
    await check_order(pair, database, made, places)


async def test_control_reading_first_draws_twice(database: Database) -> None:
    """Control: reading in two processes that no draw exists draws two positions per entrant."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE lot (number int, position int, drawn_by text)")
        look = "SELECT count(*) FROM lot"
        draw = """INSERT INTO lot SELECT n, row_number() OVER (ORDER BY md5($1 || n)), $1
                  FROM generate_series(1, 9) AS n"""
        async with sides.one.transaction(), sides.other.transaction():
            assert await sides.one.fetchval(look) == 0
            assert await sides.other.fetchval(look) == 0
            await sides.one.execute(draw, "one")
            await sides.other.execute(draw, "other")
        assert await sides.one.fetchval(look) == 18
        differing = await sides.one.fetchval(
            """SELECT count(*) FROM lot AS a JOIN lot AS b USING (number)
            WHERE a.drawn_by < b.drawn_by AND a.position <> b.position"""
        )
        assert differing > 0


async def guest(services: Services) -> UUID:
    """Returns the id of a new guest."""
    return (await services.users.add_guest()).user_id


async def opening_soon(sides: Rivals, room: int) -> None:
    """Sets the line to open in one second."""
    await sides.one.execute(
        "UPDATE waiting_room SET opens_at = clock_timestamp() + '1 second' WHERE room_id = $1", room
    )


async def opened(sides: Rivals, room: int) -> None:
    """Waits until the opening time of the line."""
    await sides.until(
        "SELECT opens_at <= clock_timestamp() FROM waiting_room WHERE room_id = $1", room
    )


async def in_time(sides: Rivals, room: int) -> list[int]:
    """Returns the numbers that were issued before the opening."""
    rows = await sides.one.fetch(
        """SELECT p.number FROM place AS p JOIN waiting_room AS r USING (room_id)
        WHERE room_id = $1 AND p.joined_at < r.opens_at ORDER BY 1""",
        room,
    )
    return [row["number"] for row in rows]


async def test_join_in_flight_at_opening_is_drawn(pair: Pair, database: Database) -> None:
    """A join with a time before the opening commits later: the closing waits for it."""
    made = await drawn_line(pair[0])
    places = await crowd_in(pair, made, 4)
    room, user, place = places[0].room_id, await guest(pair[0]), uuid4()
    async with rivals(database) as sides:
        await opening_soon(sides, room)
        joining = sides.one.transaction()
        await joining.start()
        assert await sides.one.fetchval(JOIN, room, user, place) == 5
        await opened(sides, room)
        async with sides.other_waits(CLOSE, room) as closing:
            await joining.commit()
        assert closing.result() is True
        assert await in_time(sides, room) == [1, 2, 3, 4, 5]
    late = await join(pair[1], made.concert_id)
    assert late.number == 6
    await pair[0].rooms.snapshot.refresh()
    assert await pair[0].rooms.draw(pair[0].rooms.snapshot.by_concert[made.concert_id])
    entrant = PlaceRef(user, made.concert_id, room, 5, place, places[0].issued_at)
    await check_order(pair, database, made, [*places, entrant])
    assert (await pair[1].rooms.status(late)).position == 6


async def test_join_that_waits_for_the_closing_is_not_drawn(pair: Pair, database: Database) -> None:
    """It gets its time and number after the closing, and a position behind the draw."""
    made, places = await opened_line(pair, database, 4)
    room, user = places[0].room_id, await guest(pair[0])
    async with rivals(database) as sides:
        closing = sides.one.transaction()
        await closing.start()
        assert await sides.one.fetchval(CLOSE, room) is True
        async with sides.other_waits(JOIN, room, user, uuid4()) as joining:
            await closing.commit()
        assert joining.result() == 5
        assert await in_time(sides, room) == [1, 2, 3, 4]
    assert await pair[1].rooms.draw(pair[1].rooms.snapshot.by_concert[made.concert_id])
    await check_order(pair, database, made, places)


async def test_control_closing_without_the_lock_omits_an_entrant(database: Database) -> None:
    """Control: counting the entrants while one of them commits draws without that entrant."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE spot (number int, joined_at timestamptz)")
        await sides.one.execute("BEGIN")
        await sides.one.execute("INSERT INTO spot VALUES (1, clock_timestamp())")
        opens_at = await sides.other.fetchval("SELECT clock_timestamp()")
        before = "SELECT count(*) FROM spot WHERE joined_at < $1"
        assert await sides.other.fetchval(before, opens_at) == 0  # as many are drawn
        await sides.one.execute("COMMIT")
        assert await sides.other.fetchval(before, opens_at) == 1


async def test_joins_and_leaves_during_the_opening(pair: Pair, database: Database) -> None:
    """40 clients join over two processes through the opening: each has exactly one place.

    One in five leaves at once, through the other process. The upkeep of both processes runs.
    """
    made = await drawn_line(pair[0])
    places: dict[int, PlaceRef] = {}
    left: set[int] = set()
    drawn = asyncio.Event()

    async def client(turn: int) -> None:
        after = 0
        while after < 3:
            after += drawn.is_set()
            services, other = pair[turn % 2], pair[1 - turn % 2]
            place = await join(services, made.concert_id)
            assert places.setdefault(place.number, place) is place
            if place.number % 5 == 0:
                await other.reservations.leave(place)
                left.add(place.number)

    async def watch() -> None:
        while len(places) < 40:  # noqa: ASYNC110 - the clients are at it
            await asyncio.sleep(0.005)
        async with database.by_owner() as owner:
            await owner.execute("UPDATE waiting_room SET opens_at = clock_timestamp() + '0.5 s'")
        while (await pair[0].draws.draw(made.concert_id)).drawn_at is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        drawn.set()

    async with asyncio.timeout(LONGEST_SECONDS), running(pair[0]), running(pair[1]):
        await asyncio.gather(watch(), *(client(turn) for turn in range(40)))

    people = len(places)
    assert sorted(places) == list(range(1, people + 1))
    rows = await fetch(
        database,
        """SELECT count(*) FILTER (WHERE p.joined_at < r.opens_at) AS entrants, r.opens_at,
            count(*) AS places
        FROM place AS p JOIN waiting_room AS r USING (room_id) GROUP BY r.opens_at""",
    )
    entrants = rows[0]["entrants"]
    assert rows[0]["places"] == people
    assert 40 <= entrants <= people - 3 * 40
    numbers = range(1, people + 1)
    order = await check_order(pair, database, made, [places[n] for n in numbers[:entrants]])
    await check_waiting(pair, made, [*order, *numbers[entrants:]], places, left)


async def check_waiting(
    pair: Pair,
    made: ConcertOnSale,
    positions: list[int],
    places: dict[int, PlaceRef],
    left: set[int],
) -> None:
    """Fails unless each process reports the same positions to the waiting users, in order."""
    for services in pair:
        line = services.rooms.snapshot.by_concert[made.concert_id]
        ranked = sorted(set(places) - left, key=lambda number: positions[number - 1])
        waiting = [number for number in ranked if positions[number - 1] > line.serving]
        assert line.waiting == len(waiting) > 0
        statuses = [await services.rooms.status(places[number]) for number in waiting]
        assert [one.ahead for one in statuses] == list(range(len(waiting)))
        assert [one.position for one in statuses] == [positions[number - 1] for number in waiting]
