"""A line that is drawn at its opening: the entrants, and the serving order."""

import asyncio

import pytest

from frontrow.errors import NotFound
from frontrow.services import Services
from frontrow.upkeep import lines
from frontrow.waiting_room.model import Entry
from frontrow.waiting_room.policy import MaxActivePolicy
from testkit.database import Database
from tests import draws
from tests.buyers import Owner, admit_all, join, pass_time, services_on
from tests.integration.features.drawn_lines import (
    TO_OPENING_SECONDS,
    ahead,
    broken,
    drawn_line,
    joined,
    open_and_draw,
    order_by_rule,
    positions,
)
from tests.integration.features.stored_places import admitted_numbers


async def test_no_positions_before_opening(services: Services, database: Database) -> None:
    """Users may join; none is admitted or has a position, and all others may be ahead."""
    made = await drawn_line(services)
    places = await joined(services, made, 5)
    assert [place.number for place in places] == [1, 2, 3, 4, 5]
    await lines.draw(services)
    assert await admit_all(services, made.concert_id) == 0
    assert await positions(services, places) == [None] * 5
    assert await ahead(services, places) == [4] * 5
    assert services.rooms.snapshot.by_concert[made.concert_id].state == "scheduled"
    draw = await services.draws.draw(made.concert_id)
    assert (draw.drawn_at, draw.entrants, draw.digest, draw.seed) == (None, None, None, None)
    with pytest.raises(NotFound):
        await services.draws.entries(made.concert_id, after=0, limit=10)
    assert await broken(database) == []


async def test_positions_follow_the_rule(services: Services, database: Database) -> None:
    """A permutation of 1..n that follows from the published seed and entrants."""
    made = await drawn_line(services)
    places = await joined(services, made, 40)
    commitment = (await services.draws.draw(made.concert_id)).commitment
    await open_and_draw(services, database)

    draw, order = await order_by_rule(services, made, places)
    assert draw.commitment == commitment
    positions_drawn = await positions(services, places)
    assert sorted(filter(None, positions_drawn)) == list(range(1, 41))
    assert [positions_drawn[number - 1] for number in order] == list(range(1, 41))
    assert await ahead(services, places) == [
        position - 1 for position in filter(None, positions_drawn)
    ]
    page = await services.draws.entries(made.concert_id, after=0, limit=100)
    assert page.next is None
    assert [(one.number, one.entry, one.position) for one in page.entries] == [
        (place.number, draws.sum_of(str(place.place_id)), position)
        for place, position in zip(places, positions_drawn, strict=True)
    ]
    assert await broken(database) == []


async def test_places_are_admitted_in_drawn_order(
    services: Services, database: Database, owner: Owner
) -> None:
    """Three at a time: in the drawn order, then by arrival."""
    made = await drawn_line(services, MaxActivePolicy(max_active=3))
    places = await joined(services, made, 12)
    await open_and_draw(services, database)
    late = await joined(services, made, 3)
    _, order = await order_by_rule(services, made, places)
    expected = [*order, 13, 14, 15]
    called: list[int] = []
    while len(called) < 15:
        assert await admit_all(services, made.concert_id) == 3
        inside = await admitted_numbers(owner)
        assert inside == sorted(expected[len(called) : len(called) + 3])
        called += inside
        for number in inside:
            await services.reservations.leave([*places, *late][number - 1])
    assert sorted(called) == list(range(1, 16))
    assert await broken(database) == []


async def test_one_slot_serves_in_drawn_order(
    services: Services, database: Database, owner: Owner
) -> None:
    """With one slot the order is visible, and `ahead` falls for all waiting users."""
    made = await drawn_line(services, MaxActivePolicy(max_active=1))
    places = await joined(services, made, 8)
    await open_and_draw(services, database)
    _, order = await order_by_rule(services, made, places)
    for turn, number in enumerate(order):
        assert await admit_all(services, made.concert_id) == 1
        assert await admitted_numbers(owner) == [number]
        waiting = [places[later - 1] for later in order[turn + 1 :]]
        assert await ahead(services, waiting) == list(range(len(waiting)))
        await services.reservations.leave(places[number - 1])


async def test_later_users_are_served_by_arrival(services: Services, database: Database) -> None:
    """Also between opening and draw: the opening decides, not the time of the draw."""
    made = await drawn_line(services)
    places = await joined(services, made, 5)
    await pass_time(database, TO_OPENING_SECONDS)
    early = await joined(services, made, 2)
    await services.rooms.snapshot.refresh()
    assert services.rooms.snapshot.by_concert[made.concert_id].state == "scheduled"
    assert await positions(services, early) == [None, None]
    assert await admit_all(services, made.concert_id) == 0
    await lines.draw(services)
    late = await joined(services, made, 2)
    await services.rooms.snapshot.refresh()
    await order_by_rule(services, made, places)
    assert await positions(services, [*early, *late]) == [6, 7, 8, 9]
    assert await ahead(services, [*early, *late]) == [5, 6, 7, 8]
    page = await services.draws.entries(made.concert_id, after=0, limit=100)
    assert [one.number for one in page.entries] == [1, 2, 3, 4, 5]


async def test_leaver_before_the_draw_is_skipped(
    services: Services, database: Database, owner: Owner
) -> None:
    """The place keeps its entry and position; it is never admitted, and not counted as ahead."""
    made = await drawn_line(services, MaxActivePolicy(max_active=1))
    places = await joined(services, made, 8)
    for number in (2, 3, 7):
        await services.reservations.leave(places[number - 1])
    await services.rooms.snapshot.refresh()
    assert await ahead(services, [places[0], places[7]]) == [4, 4]
    await open_and_draw(services, database)
    _, order = await order_by_rule(services, made, places)
    staying = [number for number in order if number not in (2, 3, 7)]
    assert await ahead(services, [places[number - 1] for number in staying]) == [0, 1, 2, 3, 4]
    assert await positions(services, [places[1], places[2], places[6]]) == [
        order.index(number) + 1 for number in (2, 3, 7)
    ]
    called = []
    while await admit_all(services, made.concert_id):
        called += await admitted_numbers(owner)
        await services.reservations.leave(places[called[-1] - 1])
    assert called == staying
    assert await broken(database) == []


async def test_leaver_after_the_draw_is_subtracted(services: Services, database: Database) -> None:
    """Only for places behind it in the drawn order, whatever their numbers."""
    made = await drawn_line(services, MaxActivePolicy(max_active=1))
    places = await joined(services, made, 9)
    await open_and_draw(services, database)
    late = await join(services, made.concert_id)
    _, order = await order_by_rule(services, made, places)
    await services.reservations.leave(places[order[3] - 1])
    await services.rooms.snapshot.refresh()
    by_order = [places[number - 1] for number in order if number != order[3]]
    assert await ahead(services, [*by_order, late]) == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert await admit_all(services, made.concert_id) == 1
    assert await ahead(services, [*by_order[1:], late]) == [0, 1, 2, 3, 4, 5, 6, 7]


async def test_joining_again_before_the_draw_gives_one_chance(
    services: Services, database: Database, owner: Owner
) -> None:
    """A user who leaves and joins again has two entries; only the new place is admitted."""
    made = await drawn_line(services)
    place = await join(services, made.concert_id)
    await services.reservations.leave(place)
    again = await join(services, made.concert_id, place.user_id)
    assert again.number == 2
    await open_and_draw(services, database)
    await order_by_rule(services, made, [place, again])
    assert await admit_all(services, made.concert_id) == 1
    assert await admitted_numbers(owner) == [2]


async def test_draw_without_entrants(services: Services, database: Database) -> None:
    """The draw takes place; later users are served by arrival."""
    made = await drawn_line(services)
    await open_and_draw(services, database)
    draw, order = await order_by_rule(services, made, [])
    assert (order, draw.entrants) == ([], 0)
    page = await services.draws.entries(made.concert_id, after=0, limit=10)
    assert (page.entries, page.next) == ([], None)
    late = await joined(services, made, 2)
    assert await positions(services, late) == [1, 2]
    assert await admit_all(services, made.concert_id) == 2
    assert await broken(database) == []


async def test_other_process_reads_the_same_draw(services: Services, database: Database) -> None:
    """The positions, and the pages even before its next snapshot."""
    made = await drawn_line(services)
    places = await joined(services, made, 20)
    async with services_on(database) as other:
        await other.rooms.snapshot.refresh()
        assert await positions(other, places) == [None] * 20
        await open_and_draw(services, database)
        pages = [
            await process.draws.entries(made.concert_id, after=0, limit=20)
            for process in (services, other)
        ]
        assert pages[0] == pages[1]
        assert await positions(other, places) == [one.position for one in pages[0].entries]
        assert await positions(services, places) == await positions(other, places)


async def test_line_is_drawn_once(services: Services, database: Database, owner: Owner) -> None:
    """Another round of the upkeep changes nothing."""
    made = await drawn_line(services)
    await joined(services, made, 10)
    await open_and_draw(services, database)
    before = await owner.fetch("SELECT * FROM drawn ORDER BY position")
    shown = await services.draws.draw(made.concert_id)
    line = services.rooms.snapshot.by_concert[made.concert_id]
    assert await services.rooms.draw(line) is False
    await lines.draw(services)
    assert await owner.fetch("SELECT * FROM drawn ORDER BY position") == before
    assert await services.draws.draw(made.concert_id) == shown


async def test_closed_entries_are_drawn_by_the_next_process(
    services: Services, database: Database, owner: Owner
) -> None:
    """Closed entries stay closed: the next process draws exactly these."""
    made = await drawn_line(services)
    places = await joined(services, made, 6)
    await pass_time(database, TO_OPENING_SECONDS)
    room = places[0].room_id
    assert await owner.fetchval("SELECT waiting_room_close_entries($1)", room) is True
    late = await join(services, made.concert_id)
    await services.rooms.snapshot.refresh()
    draw = await services.draws.draw(made.concert_id)
    assert (draw.entrants, draw.seed) == (None, None)
    await lines.draw(services)
    await order_by_rule(services, made, places)
    assert await positions(services, [late]) == [7]


async def test_two_lines_have_separate_draws(services: Services, database: Database) -> None:
    """Two lines that open at once have their own seeds and entrants."""
    lines = [await drawn_line(services) for _ in range(2)]
    places = [
        await joined(services, made, people) for made, people in zip(lines, (5, 7), strict=True)
    ]
    await open_and_draw(services, database)
    shown = [
        (await order_by_rule(services, made, entrants))[0]
        for made, entrants in zip(lines, places, strict=True)
    ]
    assert [one.entrants for one in shown] == [5, 7]
    assert shown[0].seed != shown[1].seed


async def test_pages_of_entrants(services: Services, database: Database) -> None:
    """By number, each once, for any page size; no page follows the last one."""
    made = await drawn_line(services)
    await asyncio.gather(*(join(services, made.concert_id) for _ in range(25)))
    await open_and_draw(services, database)
    await joined(services, made, 3)
    whole = await services.draws.entries(made.concert_id, after=0, limit=25)
    assert [one.number for one in whole.entries] == list(range(1, 26))
    assert whole.next is None
    for limit in (1, 10, 24):
        cut: list[Entry] = []
        after: int | None = 0
        pages = 0
        while after is not None:
            page = await services.draws.entries(made.concert_id, after=after, limit=limit)
            assert len(page.entries) == min(limit, 25 - after)
            cut += page.entries
            after = page.next
            pages += 1
        assert cut == whole.entries
        assert pages == -(-25 // limit)
    for after in (25, 26, 2**31 - 1):
        page = await services.draws.entries(made.concert_id, after=after, limit=10)
        assert (page.entries, page.next) == ([], None)
