"""``reservation_release`` and ``reservation_expire``: the ends of a hold without a payment."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.unit.sql.sale import Place, Sale


async def release(
    sale: Sale, reservation: UUID, user: UUID, place: Place | None = None
) -> asyncpg.Record:
    """Releases a hold with the user's key, or with a queue token if there is a place."""
    none: dict[str, list[Any]] = {"rooms": [None], "numbers": [None], "places": [None]}
    return await sale.call_one(
        "reservation_release",
        reservations=[reservation],
        users=[user],
        **(place.key if place else none),
    )


async def test_held_seats_are_available_after_the_release(sale: Sale) -> None:
    """With the user's key."""
    place = await sale.place("claimed")
    reservation = await sale.hold(place, [1, 2])
    assert (await release(sale, reservation, place.user_id))["outcome"] == "released"
    assert await sale.taken() == []
    assert await sale.column("SELECT state::text FROM reservation") == ["released"]


async def test_token_releases_its_hold(sale: Sale) -> None:
    """With the queue token of its place."""
    place = await sale.place("claimed")
    reservation = await sale.hold(place, [1])
    assert (await release(sale, reservation, place.user_id, place))["outcome"] == "released"


@pytest.mark.parametrize("state", ["released", "expired"])
async def test_released_or_expired_hold_can_be_released_again(sale: Sale, state: str) -> None:
    """The same answer; its state stays."""
    place = await sale.place("claimed")
    reservation = await sale.hold(place, [1], state=state)
    assert (await release(sale, reservation, place.user_id))["outcome"] == "released"
    assert await sale.column("SELECT state::text FROM reservation") == [state]


async def test_release_keeps_a_seat_that_another_hold_took_over(sale: Sale) -> None:
    """An expired hold no longer has its seats."""
    place = await sale.place("claimed")
    reservation = await sale.hold(place, [1], seconds=-1)
    await sale.hold(await sale.place("claimed"), [1])
    assert (await release(sale, reservation, place.user_id))["outcome"] == "released"
    assert await sale.taken() == [1]


@pytest.mark.parametrize("state", ["paid", "refunded"])
async def test_paid_reservation_is_closed(sale: Sale, state: str) -> None:
    """The refusal carries the state."""
    place = await sale.place("claimed")
    reservation = await sale.hold(place, [1], state=state)
    row = await release(sale, reservation, place.user_id)
    assert (row["outcome"], row["state"]) == ("reservation_closed", state)


async def test_reservation_of_another_user_is_not_found(sale: Sale) -> None:
    """The hold stays."""
    reservation = await sale.hold(await sale.place("claimed"), [1])
    assert (await release(sale, reservation, uuid4()))["outcome"] == "not_found"
    assert await sale.taken() == [1]


async def test_token_of_another_concert_is_not_allowed(sale: Sale) -> None:
    """The reservation belongs to the user, but to another concert."""
    place = await sale.place("claimed")
    reservation = await sale.hold(place, [1])
    concert = uuid4()
    await sale.add_concert(concert)
    await sale.execute("UPDATE reservation SET concert_id = $1", concert)
    assert (await release(sale, reservation, place.user_id, place))["outcome"] == "not_allowed"


async def test_finished_token_cannot_release(sale: Sale) -> None:
    """The refusal carries the reason."""
    place = await sale.place("left")
    reservation = await sale.hold(place, [1])
    row = await release(sale, reservation, place.user_id, place)
    assert (row["outcome"], row["reason"]) == ("token_finished", "left")


async def test_forged_token_cannot_release(sale: Sale) -> None:
    """Its id is not that of the place."""
    place = await sale.place("claimed")
    reservation = await sale.hold(place, [1])
    forged = Place(place.user_id, uuid4(), place.room_id, place.number)
    row = await release(sale, reservation, place.user_id, forged)
    assert row["outcome"] == "credential_invalid"
    assert await sale.taken() == [1]


async def test_expiry_marks_overdue_holds_only(sale: Sale) -> None:
    """One hold has passed its end, one has not."""
    overdue = await sale.hold(await sale.place("claimed"), [1], seconds=-1)
    await sale.hold(await sale.place("claimed"), [2])
    assert await sale.fetchval("SELECT reservation_expire(10)") == 1
    expired = "SELECT reservation_id FROM reservation WHERE state = 'expired'"
    assert await sale.column(expired) == [overdue]


async def test_expiry_is_limited(sale: Sale) -> None:
    """A round marks at most its limit."""
    for seat in (1, 2, 3):
        await sale.hold(await sale.place("claimed"), [seat], seconds=-1)
    assert await sale.fetchval("SELECT reservation_expire(2)") == 2
    assert await sale.fetchval("SELECT reservation_expire(2)") == 1
