"""A line that is drawn at its opening: who is in the draw, and who is served when."""

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
from tests.integration.features.drawing import (
    TO_OPENING_SECONDS,
    ahead,
    broken,
    drawn_line,
    joined,
    open_and_draw,
    order_by_rule,
    positions,
)
from tests.integration.features.looking import admitted_numbers


async def test_before_opening_nobody_has_a_position(services: Services, database: Database) -> None:
    """Places are taken; nobody is called, drawn or told a position, and all others may be ahead."""
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


async def test_at_opening_positions_follow_the_rule(services: Services, database: Database) -> None:
    """They are a permutation of 1..n, that of the seed and the entrants, as everybody can see."""
    made = await drawn_line(services)
    places = await joined(services, made, 40)
    commitment = (await services.draws.draw(made.concert_id)).commitment
    await open_and_draw(services, database)

    draw, order = await order_by_rule(services, made, places)
    assert draw.commitment == commitment
    told = await positions(services, places)
    assert sorted(filter(None, told)) == list(range(1, 41))
    assert [told[number - 1] for number in order] == list(range(1, 41))
    assert await ahead(services, places) == [position - 1 for position in filter(None, told)]
    page = await services.draws.entries(made.concert_id, after=0, limit=100)
    assert page.next is None
    assert [(one.number, one.entry, one.position) for one in page.entries] == [
        (place.number, draws.sum_of(str(place.place_id)), position)
        for place, position in zip(places, told, strict=True)
    ]
    assert await broken(database) == []


async def test_called_in_the_drawn_order(
    services: Services, database: Database, owner: Owner
) -> None:
    """Three at a time: always the next of the draw, never the next number; then by arrival."""
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


async def test_one_by_one_in_the_drawn_order(
    services: Services, database: Database, owner: Owner
) -> None:
    """With one slot the order itself is seen, and `ahead` counts down for all who wait."""
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


async def test_who_comes_later_follows_by_arrival(services: Services, database: Database) -> None:
    """Between opening and draw too: the opening decides, not the moment of the draw."""
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


async def test_who_left_before_the_draw_is_drawn_and_passed_over(
    services: Services, database: Database, owner: Owner
) -> None:
    """The place keeps its entry and position; it is never called, and is ahead of nobody."""
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


async def test_who_leaves_after_the_draw_is_counted_out(
    services: Services, database: Database
) -> None:
    """Only for those behind in the drawn order, whatever their numbers."""
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


async def test_coming_back_before_the_draw_gives_one_chance(
    services: Services, database: Database, owner: Owner
) -> None:
    """Who leaves and joins again has two entries, of which only the new one is ever called."""
    made = await drawn_line(services)
    place = await join(services, made.concert_id)
    await services.reservations.leave(place)
    again = await join(services, made.concert_id, place.user_id)
    assert again.number == 2
    await open_and_draw(services, database)
    await order_by_rule(services, made, [place, again])
    assert await admit_all(services, made.concert_id) == 1
    assert await admitted_numbers(owner) == [2]


async def test_a_draw_of_nobody(services: Services, database: Database) -> None:
    """It is drawn all the same; who comes then is served by arrival."""
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


async def test_another_process_sees_the_same_draw(services: Services, database: Database) -> None:
    """Its positions, and its pages even before it has looked at the lines again."""
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


async def test_a_draw_is_made_once(services: Services, database: Database, owner: Owner) -> None:
    """Going round again changes nothing of it."""
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


async def test_a_process_that_dies_halfway(
    services: Services, database: Database, owner: Owner
) -> None:
    """Entries that were closed stay so: the next process draws them, and nobody else."""
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


async def test_lines_are_drawn_apart(services: Services, database: Database) -> None:
    """Two lines that open at once have seeds of their own, and each its own entrants."""
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
    """By number, each once, however they are cut; behind the last there is nothing."""
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
