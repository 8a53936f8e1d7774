"""Holding seats: many callers in one batch."""

import asyncio
import random

import pytest

from frontrow.errors import (
    SeatTaken,
)
from frontrow.services import Services
from tests.buyers import (
    Owner,
    buyer,
    make_concert,
)
from tests.integration.features.holding import taken


async def test_one_seat_many_buyers(services: Services, owner: Owner) -> None:
    """The first one gets it; the refusals of all others name that seat."""
    made = await make_concert(services)
    places = [await buyer(services, made.concert_id) for _ in range(20)]
    answers = await asyncio.gather(
        *[services.reservations.hold(place, made.shows[0], [7], None) for place in places],
        return_exceptions=True,
    )
    assert isinstance(answers[0], tuple)
    for answer in answers[1:]:
        assert isinstance(answer, SeatTaken)
        assert answer.fields == {"seats": [7]}
    assert await taken(owner) == {7: str(answers[0][0].reservation_id)}


@pytest.mark.parametrize("links", [3, 10])
async def test_chain_of_overlapping_holds(services: Services, owner: Owner, links: int) -> None:
    """{1,2}, {2,3}, {3,4}, … in one batch: an overlap with a refused request is no refusal."""
    made = await make_concert(services)
    places = [await buyer(services, made.concert_id) for _ in range(links)]
    answers = await asyncio.gather(
        *[
            services.reservations.hold(place, made.shows[0], [at, at + 1], None)
            for at, place in enumerate(places, 1)
        ],
        return_exceptions=True,
    )
    for at, answer in enumerate(answers, 1):
        if at % 2:
            assert isinstance(answer, tuple)
        else:
            assert isinstance(answer, SeatTaken)
    seats = links + links % 2
    assert list(await taken(owner)) == list(range(1, seats + 1))


async def test_refusals_name_seats_that_are_taken(services: Services, owner: Owner) -> None:
    """Any overlapping requests in one batch: each refusal names seats that are held in the end."""
    made = await make_concert(services, seats=12, max_seats_per_user=12)
    chance = random.Random(2026)  # noqa: S311 - a test's
    for _ in range(12):
        # New users each time: a user can't hold a released seat again.
        places = [await buyer(services, made.concert_id) for _ in range(15)]
        wishes = [chance.sample(range(1, 13), chance.randint(1, 4)) for _ in places]
        answers = await asyncio.gather(
            *[
                services.reservations.hold(place, made.shows[0], seats, None)
                for place, seats in zip(places, wishes, strict=True)
            ],
            return_exceptions=True,
        )
        had = await taken(owner)
        won: list[int] = []
        for answer, wish in zip(answers, wishes, strict=True):
            if isinstance(answer, tuple):
                won += wish
            else:
                assert isinstance(answer, SeatTaken)
                named = answer.fields["seats"]
                assert isinstance(named, list)
                assert named
                assert set(named) <= set(wish) & set(had)
        assert sorted(won) == list(had)
        await asyncio.gather(
            *[
                services.reservations.release(answer[0].reservation_id, place.user_id, place)
                for answer, place in zip(answers, places, strict=True)
                if isinstance(answer, tuple)
            ]
        )
        assert await taken(owner) == {}
