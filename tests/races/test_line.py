"""Races in the line: two requests for a place by one user, and numbers in order of joining."""

import asyncio
import time
from collections import Counter
from typing import NamedTuple
from uuid import UUID

from frontrow.services import Services
from testkit.database import Database
from tests.buyers import admit_all, join, make_concert
from tests.races.rivals import fetch, rivals

Pair = tuple[Services, Services]


async def test_concurrent_joins_of_one_user_give_one_place(pair: Pair, database: Database) -> None:
    """60 users join three times in each of two processes concurrently: one place each."""
    made = await make_concert(pair[0])
    users = [(await pair[0].users.add_guest()).user_id for _ in range(60)]

    found = await asyncio.gather(
        *(services.rooms.join(user, made.concert_id) for user in users for services in pair * 3)
    )

    numbers: dict[UUID, set[int]] = {}
    for status, _ in found:
        place = pair[0].signer.verify(status.token.encode())
        assert place.number == status.number
        numbers.setdefault(status.user_id, set()).add(status.number)
    assert Counter(is_new for _, is_new in found) == {True: 60, False: 300}
    assert sorted(number for given in numbers.values() for number in given) == list(range(1, 61))
    rows = await fetch(database, "SELECT user_id, number FROM place")
    assert {row["user_id"]: {row["number"]} for row in rows} == numbers


async def test_control_reading_for_a_place_first_gives_two(database: Database) -> None:
    """Control: reading that a user has no place, and then inserting one, inserts two."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE spot (person text)")
        look = "SELECT count(*) FROM spot WHERE person = 'ann'"
        make = "INSERT INTO spot VALUES ('ann')"
        async with sides.one.transaction():
            assert await sides.one.fetchval(look) == 0
            await sides.one.execute(make)
            assert await sides.other.fetchval(look) == 0
            await sides.other.execute(make)
        assert await sides.one.fetchval(look) == 2


class Joined(NamedTuple):
    """A number, with the times of its request and of its answer."""

    number: int
    sent: float
    answered: float


def out_of_order(joins: list[Joined]) -> list[Joined]:
    """Returns the joins that were answered before a join with a smaller number was sent."""
    wrong, latest_sent = [], float("-inf")
    for one in sorted(joins):
        if one.answered < latest_sent:
            wrong.append(one)
        latest_sent = max(latest_sent, one.sent)
    return wrong


async def test_numbers_follow_the_order_of_joining(pair: Pair, database: Database) -> None:
    """80 clients join 2,000 times over two processes: no gap, and numbers follow the requests.

    Meanwhile users are admitted and leave, which takes the same lock.
    """
    made = await make_concert(pair[0])
    guests = await asyncio.gather(*(pair[0].users.add_guest() for _ in range(2_000)))
    joins: list[Joined] = []

    async def client(turn: int) -> None:
        for step in range(25):
            services = pair[(turn + step) % 2]
            sent = time.perf_counter()
            status, is_new = await services.rooms.join(guests.pop().user_id, made.concert_id)
            joins.append(Joined(status.number, sent, time.perf_counter()))
            assert is_new

    async def leavers() -> None:
        for turn in range(25):
            await pair[turn % 2].reservations.leave(await join(pair[turn % 2], made.concert_id))
            await admit_all(pair[1 - turn % 2], made.concert_id)

    await asyncio.gather(leavers(), *(client(turn) for turn in range(80)))

    assert len(joins) == 2_000
    assert out_of_order(joins) == []
    rows = await fetch(database, "SELECT number FROM place ORDER BY number")
    assert [row["number"] for row in rows] == list(range(1, 2_026))


async def test_control_sequence_leaves_gaps_and_commits_out_of_order(database: Database) -> None:
    """Control: numbers of a sequence appear out of order, have gaps, don't follow the requests."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE SEQUENCE ticker; CREATE TABLE spot (number int)")
        take = "INSERT INTO spot VALUES (nextval('ticker')) RETURNING number"
        seen = "SELECT array_agg(number ORDER BY number) FROM spot"

        await sides.one.execute("BEGIN")
        assert await sides.one.fetchval(take) == 1
        assert await sides.other.fetchval(take) == 2
        assert await sides.other.fetchval(seen) == [2]  # first in line, until 1 appears before it
        await sides.one.execute("ROLLBACK")
        assert await sides.other.fetchval(seen) == [2]  # or never appears

        # With the usual cache of a sequence, each session takes several numbers at once.
        await sides.one.execute("TRUNCATE spot; ALTER SEQUENCE ticker CACHE 10 RESTART")
        joins = []
        for connection in (sides.one, sides.other, sides.one):
            sent = time.perf_counter()
            number = await connection.fetchval(take)
            joins.append(Joined(number, sent, time.perf_counter()))
        assert [one.number for one in joins] == [1, 11, 2]
        assert out_of_order(joins) == [joins[1]]
