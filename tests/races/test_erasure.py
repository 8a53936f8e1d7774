"""Races of an erasure with concurrent calls of the same user."""

import asyncio

import pytest

from frontrow.errors import BalanceRemains, CredentialInvalid, DomainError, TokenFinished
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import join, make_concert
from tests.races.crowds import answers, crowd, granted, refused
from tests.races.rivals import fetch, rivals

Pair = tuple[Services, Services]

PRICE = 50_000
USERS = 60


async def test_erasure_with_concurrent_holds_and_payments(pair: Pair, database: Database) -> None:
    """Each user pays for a hold, holds another seat and is erased, all concurrently."""
    made = await make_concert(pair[0], seats=2 * USERS, price=PRICE)
    places = await crowd(pair[0], made.concert_id, USERS, balance=PRICE)
    show = made.shows[0]
    held = [
        (await pair[0].reservations.hold(place, show, [turn + 1], None))[0]
        for turn, place in enumerate(places)
    ]

    async def live(turn: int) -> list[object]:
        place = places[turn]
        return await answers(
            [
                pair[turn % 2].payments.pay(place, held[turn].reservation_id, PRICE, None),
                pair[0].reservations.hold(place, show, [USERS + turn + 1], None),
                pair[1].erasures.erase(place.user_id),
            ]
        )

    found = await asyncio.gather(*(live(turn) for turn in range(USERS)))

    for paid, also_held, erased in found:
        # A user who has not paid still has a balance, which prevents the erasure.
        assert erased is None or type(erased) is BalanceRemains
        assert isinstance(erased, BalanceRemains) or not isinstance(paid, DomainError)
        assert not isinstance(also_held, DomainError) or type(also_held) is TokenFinished
    gone = {places[turn].user_id for turn, (_, _, erased) in enumerate(found) if erased is None}
    assert gone
    rows = await fetch(
        database, "SELECT user_id FROM erasure JOIN place USING (user_id) WHERE state <> 'finished'"
    )
    assert rows == []
    rows = await fetch(
        database,
        """SELECT FROM erasure JOIN reservation AS r USING (user_id)
        WHERE r.state = 'held' AND r.held_until > now()""",
    )
    assert rows == []
    rows = await fetch(database, "SELECT user_id FROM erasure")
    assert {row["user_id"] for row in rows} == gone


async def test_erasure_with_concurrent_joins_leaves_no_live_place(
    pair: Pair, database: Database
) -> None:
    """Users join four lines through two processes while they are erased: no place stays live."""
    lines = [(await make_concert(pair[0])).concert_id for _ in range(4)]
    await pair[1].rooms.snapshot.refresh()
    guests = [await pair[0].users.add_guest() for _ in range(USERS)]

    async def live(user: int) -> None:
        user_id = guests[user].user_id
        joins = (join(pair[turn % 2], line, user_id) for turn, line in enumerate(lines))
        joined, _ = await asyncio.gather(answers(joins), pair[1].erasures.erase(user_id))
        assert {type(refusal) for refusal in refused(joined)} <= {CredentialInvalid}
        for place in granted(joined):
            with pytest.raises(DomainError) as caught:
                await pair[0].rooms.enter(place)
            assert type(caught.value) is TokenFinished

    await asyncio.gather(*(live(user) for user in range(USERS)))
    assert await fetch(database, "SELECT FROM place WHERE state <> 'finished'") == []
    assert len(await fetch(database, "SELECT FROM erasure")) == USERS


async def test_erasure_waits_for_an_uncommitted_join(pair: Pair, database: Database) -> None:
    """A join that started before the erasure commits after it: its place is ended too."""
    made = await make_concert(pair[0])
    guest = await pair[0].users.add_guest()
    room_id = pair[0].rooms.snapshot.by_concert[made.concert_id].room_id
    async with rivals(database) as sides:
        async with sides.one.transaction():
            joined = """SELECT outcome
                FROM waiting_room_join($1, ARRAY[$2::uuid], '{NULL}', ARRAY[$2::uuid])"""
            assert await sides.one.fetchval(joined, room_id, guest.user_id) == "new"
            erased = "SELECT outcome FROM retention_erase($1, false)"
            assert await sides.other.fetchval(erased, guest.user_id) == "erased"
            # Control: the place is not visible yet.
            live = "SELECT count(*) FROM place WHERE state <> 'finished'"
            assert await sides.other.fetchval(live) == 0
            assert await pair[1].erasures.unlink() == 1
            sweep = "SELECT retention_sweep($1, $2)"
            async with sides.other_waits(sweep, room_id, guest.user_id) as sweeping:
                await sides.one.execute("COMMIT; BEGIN")
                assert await sweeping
        assert await sides.other.fetchval(live) == 0
        # Its place is also anonymised, although the user's other rows were processed before it
        # committed.
        assert await pair[1].erasures.unlink() == 1
        theirs = "SELECT count(*) FROM place WHERE user_id = $1"
        assert await sides.other.fetchval(theirs, guest.user_id) == 0
