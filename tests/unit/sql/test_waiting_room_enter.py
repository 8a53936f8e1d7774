"""``waiting_room_enter``: whether a place may act; the first call claims it."""

from uuid import uuid4

import pytest

from tests.unit.sql.sale import Sale


async def test_first_call_claims_the_place(sale: Sale) -> None:
    """The session starts with its full length."""
    place = await sale.place("admitted")
    assert (await sale.call_one("waiting_room_enter", **place.key))["outcome"] == "admitted"
    seconds = await sale.fetchval(
        "SELECT extract(epoch FROM expires_at - claimed_at)::int FROM place"
    )
    assert seconds == 600


async def test_later_call_does_not_extend_the_session(sale: Sale) -> None:
    """A claimed place is admitted, with the same end."""
    place = await sale.place("claimed")
    before = await sale.fetchval("SELECT expires_at FROM place")
    assert (await sale.call_one("waiting_room_enter", **place.key))["outcome"] == "admitted"
    assert await sale.fetchval("SELECT expires_at FROM place") == before


async def test_waiting_place_is_not_admitted(sale: Sale) -> None:
    """It is not claimed either."""
    place = await sale.place("waiting")
    assert (await sale.call_one("waiting_room_enter", **place.key))["outcome"] == "not_admitted"
    assert await sale.fetchval("SELECT claimed_at FROM place") is None


@pytest.mark.parametrize(
    ("state", "reason"),
    [("paid", "paid"), ("left", "left"), ("expired", "expired"), ("overdue", "expired")],
)
async def test_finished_place_is_refused_with_its_reason(
    sale: Sale, state: str, reason: str
) -> None:
    """A place past its claim window counts as expired before upkeep has marked it."""
    place = await sale.place(state)
    row = await sale.call_one("waiting_room_enter", **place.key)
    assert (row["outcome"], row["reason"]) == ("token_finished", reason)


async def test_place_of_another_token_is_invalid(sale: Sale) -> None:
    """A token whose id is not that of the place is forged."""
    place = await sale.place("admitted")
    row = await sale.call_one("waiting_room_enter", **place.key | {"places": [uuid4()]})
    assert row["outcome"] == "credential_invalid"


async def test_place_beyond_the_line_is_invalid(sale: Sale) -> None:
    """A number that was never issued is not found as a place."""
    place = await sale.place("admitted")
    row = await sale.call_one("waiting_room_enter", **place.key | {"numbers": [place.number + 1]})
    assert row["outcome"] == "credential_invalid"
