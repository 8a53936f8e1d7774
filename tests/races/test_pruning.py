"""Races of pruning with joins, leaves, admissions and payments."""

import asyncio
import random

from frontrow.errors import CredentialInvalid, TokenFinished
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import ConcertOnSale, admit_all, join, make_concert
from tests.races.rivals import fetch, rivals

Pair = tuple[Services, Services]

PRICE = 1_000
PEOPLE = 200
AT_ONCE = 8


async def _visit(services: Services, made: ConcertOnSale, seat: int) -> None:
    """Joins, then leaves, buys, or waits until the session ends."""
    place = await join(services, made.concert_id)
    fate = random.choice(["leave", "buy", "leave called"])  # noqa: S311 - any fate
    if fate != "leave":
        while (await services.rooms.status(place)).state == "waiting":
            await admit_all(services, made.concert_id)
    if fate == "buy":
        await services.ledger.charge(place, PRICE, None)
        held, _ = await services.reservations.hold(place, made.shows[0], [seat], None)
        await services.payments.pay(place, held.reservation_id, PRICE, None)
    else:
        await services.reservations.leave(place)
    # Ended data may be pruned by now; then the token is refused with another error.
    try:
        await services.rooms.enter(place)
    except (TokenFinished, CredentialInvalid):
        return
    raise AssertionError("a finished place entered")


async def test_pruning_keeps_numbers_and_counts_right(pair: Pair, database: Database) -> None:
    """Finished places are pruned repeatedly while the line moves: numbers and counts stay right."""
    made = await make_concert(pair[0], seats=PEOPLE, price=PRICE)
    room_id = pair[0].rooms.snapshot.by_concert[made.concert_id].room_id

    async def visit(first: int) -> None:
        for turn in range(first, PEOPLE, AT_ONCE):
            await _visit(pair[turn % 2], made, turn + 1)

    people = asyncio.gather(*(visit(first) for first in range(AT_ONCE)))
    prune = "SELECT waiting_room_prune($1, clock_timestamp(), 7)"
    dropped = []
    while not people.done():
        dropped.append(await pair[0].pool.fetchval(prune, room_id))
    await people
    assert sum(count > 0 for count in dropped) > 5
    while count := await pair[0].pool.fetchval(prune, room_id):
        dropped.append(count)
    (room,) = await fetch(database, "SELECT issued, pruned_to FROM waiting_room")
    assert room["issued"] == room["pruned_to"] == sum(dropped) == PEOPLE
    assert await fetch(database, "SELECT FROM place") == []


async def test_control_counting_without_the_lock_loses_a_leave(database: Database) -> None:
    """Control: reading a line's counts and then writing them overwrites concurrent changes."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE line (serving int, left_passed int)")
        await sides.one.execute("INSERT INTO line VALUES (0, 0)")
        read = "SELECT left_passed FROM line"
        write = "UPDATE line SET left_passed = $1 RETURNING left_passed"
        async with sides.one.transaction():
            mine = await sides.one.fetchval(read)
            theirs = await sides.other.fetchval(read)
            await sides.one.fetchval(write, mine + 1)
            async with sides.other_waits(write, theirs + 1) as writing:
                await sides.one.execute("COMMIT; BEGIN")
                assert await writing == 1  # two were counted
