"""``waiting_room_admit``: admits the next places in order, within the bounds of the policy."""

from typing import Any

import asyncpg
import pytest

from tests.unit.sql.sale import Sale


async def admit(sale: Sale, cap: int | None = None, **bounds: Any) -> asyncpg.Record:
    """Runs one admission."""
    version = await sale.fetchval("SELECT policy_version FROM waiting_room")
    given = {"room_id": sale.room_id, "policy_version": version, "cap": cap}
    return await sale.call_one(
        "waiting_room_admit", **given | {"rate": None, "rate_seconds": None} | bounds
    )


async def states(sale: Sale) -> list[str]:
    """Returns the states of all places by number."""
    return await sale.column("SELECT state::text FROM place ORDER BY number")


async def test_places_are_admitted_in_order_up_to_the_cap(sale: Sale) -> None:
    """Two free slots of three waiting: the first two."""
    for _ in range(3):
        await sale.place("waiting")
    row = await admit(sale, cap=2)
    assert (row["outcome"], row["admitted"], row["active"], row["more"]) == ("done", 2, 2, True)
    assert await states(sale) == ["admitted", "admitted", "waiting"]


async def test_claim_window_starts_with_the_admission(sale: Sale) -> None:
    """It has the length that the waiting room sets."""
    await sale.place("waiting")
    await admit(sale, cap=1)
    seconds = "SELECT extract(epoch FROM expires_at - admitted_at)::int FROM place"
    assert await sale.fetchval(seconds) == 120


async def test_full_room_admits_nobody(sale: Sale) -> None:
    """Unclaimed places count against the cap as well as claimed ones."""
    await sale.place("admitted")
    await sale.place("claimed")
    await sale.place("waiting")
    row = await admit(sale, cap=2)
    assert (row["admitted"], row["active"]) == (0, 2)
    assert await states(sale) == ["admitted", "admitted", "waiting"]


async def test_overdue_place_frees_its_slot(sale: Sale) -> None:
    """It expires, and the next place takes the slot in the same call."""
    await sale.place("overdue")
    await sale.place("waiting")
    row = await admit(sale, cap=1)
    assert (row["expired"], row["admitted"], row["active"]) == (1, 1, 1)
    assert await states(sale) == ["finished", "admitted"]


async def test_place_that_left_is_passed_over(sale: Sale) -> None:
    """The slot goes to the next waiting place."""
    left = await sale.place("waiting")
    await sale.place("waiting")
    await sale.call("waiting_room_leave", **left.key)
    assert (await admit(sale, cap=1))["admitted"] == 1
    assert await states(sale) == ["finished", "admitted"]


async def test_rate_limits_the_admissions(sale: Sale) -> None:
    """Without a cap a rate of two per hour admits no more than its first slice."""
    for _ in range(5):
        await sale.place("waiting")
    row = await admit(sale, rate=2, rate_seconds=3600.0)
    assert row["admitted"] <= 2
    assert (await admit(sale, rate=2, rate_seconds=3600.0))["admitted"] == 0


async def test_no_bounds_admit_everybody(sale: Sale) -> None:
    """The open policy has neither a cap nor a rate."""
    for _ in range(5):
        await sale.place("waiting")
    row = await admit(sale)
    assert (row["admitted"], row["more"]) == (5, False)


@pytest.mark.parametrize(
    "change",
    ["paused = true", "opens_at = now() + '1 hour'", "closes_at = now() - '1 second'::interval"],
)
async def test_paused_or_closed_room_admits_nobody(sale: Sale, change: str) -> None:
    """Waiting places stay as they are."""
    await sale.place("waiting")
    await sale.execute(f"UPDATE waiting_room SET {change}")  # noqa: S608 - from the test
    assert (await admit(sale, cap=5))["admitted"] == 0
    assert await states(sale) == ["waiting"]


async def test_bounds_of_another_policy_are_stale(sale: Sale) -> None:
    """A policy that was replaced meanwhile admits nobody."""
    await sale.place("waiting")
    row = await admit(sale, cap=5, policy_version=99)
    assert (row["outcome"], row["admitted"]) == ("stale_policy", 0)
    assert await states(sale) == ["waiting"]


async def test_unknown_room_is_not_found(sale: Sale) -> None:
    """Nothing is admitted."""
    row = await admit(sale, cap=5, room_id=2**31 - 1)
    assert (row["outcome"], row["admitted"]) == ("not_found", 0)
