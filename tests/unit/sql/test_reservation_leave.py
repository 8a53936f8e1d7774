"""``reservation_leave``: a place leaves the line and its holds are released."""

from uuid import uuid4

import pytest

from tests.unit.sql.sale import Sale


async def test_waiting_place_leaves(sale: Sale) -> None:
    """It is finished, and numbered among the leavers."""
    place = await sale.place("waiting")
    assert (await sale.call_one("reservation_leave", **place.key))["outcome"] == "left"
    row = await sale.connection.fetchrow("SELECT state::text, reason::text, left_seq FROM place")
    assert tuple(row) == ("finished", "left", 1)
    assert await sale.fetchval("SELECT left_count FROM waiting_room") == 1


async def test_leaving_releases_the_holds(sale: Sale) -> None:
    """The seats are available at once."""
    place = await sale.place("claimed")
    await sale.hold(place, [1, 2])
    assert (await sale.call_one("reservation_leave", **place.key))["outcome"] == "left"
    assert await sale.taken() == []
    assert await sale.column("SELECT state::text FROM reservation") == ["released"]


@pytest.mark.parametrize(
    ("state", "reason"), [("paid", "paid"), ("left", "left"), ("overdue", "expired")]
)
async def test_finished_place_cannot_leave(sale: Sale, state: str, reason: str) -> None:
    """The refusal carries the reason for which the place was finished."""
    place = await sale.place(state)
    row = await sale.call_one("reservation_leave", **place.key)
    assert (row["outcome"], row["reason"]) == ("token_finished", reason)


async def test_place_of_another_token_is_invalid(sale: Sale) -> None:
    """Nothing changes."""
    place = await sale.place("waiting")
    row = await sale.call_one("reservation_leave", **place.key | {"places": [uuid4()]})
    assert row["outcome"] == "credential_invalid"
    assert await sale.column("SELECT state::text FROM place") == ["waiting"]
