"""``ticket_check_in``: each ticket is checked in at most once."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.unit.sql.sale import Sale

KEY = "4f3a9c21"


@pytest.fixture
async def ticket(sale: Sale) -> UUID:
    """A ticket, and a ticket key that signs."""
    await sale.execute(
        """INSERT INTO signing_key (key_id, purpose, secret, public_key, signs_at, created_at)
        VALUES ($1, 'ticket', $2, $2, now(), now())""",
        KEY,
        b"k" * 32,
    )
    payment = await sale.purchase(uuid4(), [4])
    found: UUID = await sale.fetchval("SELECT ticket_id FROM ticket WHERE payment_id = $1", payment)
    return found


async def check_in(sale: Sale, ticket: UUID, **changes: Any) -> asyncpg.Record:
    """Checks a ticket in."""
    given: dict[str, Any] = {
        "tickets": [ticket],
        "keys": [KEY],
        "check_ins": [uuid4()],
        "gates": ["North"],
        "for_shows": [None],
        "for_concerts": [None],
    }
    return await sale.call_one("ticket_check_in", **given | changes)


async def test_valid_ticket_is_checked_in(sale: Sale, ticket: UUID) -> None:
    """With the time and the gate."""
    row = await check_in(sale, ticket)
    assert (row["outcome"], row["number"], row["gate"]) == ("checked_in", 4, "North")
    assert await sale.fetchval("SELECT gate FROM ticket WHERE checked_in_at IS NOT NULL") == "North"


async def test_second_scan_is_refused_with_the_first(sale: Sale, ticket: UUID) -> None:
    """The refusal carries the first time and gate."""
    first = await check_in(sale, ticket)
    row = await check_in(sale, ticket, gates=["South"])
    assert (row["outcome"], row["gate"]) == ("already_checked_in", "North")
    assert row["checked_in_at"] == first["checked_in_at"]


async def test_same_check_in_id_is_replayed(sale: Sale, ticket: UUID) -> None:
    """The first answer again."""
    check_in_id = uuid4()
    await check_in(sale, ticket, check_ins=[check_in_id])
    assert (await check_in(sale, ticket, check_ins=[check_in_id]))["outcome"] == "replayed"


async def test_same_check_in_id_at_another_gate_is_refused(sale: Sale, ticket: UUID) -> None:
    """It is another request."""
    check_in_id = uuid4()
    await check_in(sale, ticket, check_ins=[check_in_id])
    row = await check_in(sale, ticket, check_ins=[check_in_id], gates=["South"])
    assert row["outcome"] == "idempotency_key_reused"


async def test_same_ticket_twice_in_a_batch_is_run_again(sale: Sale, ticket: UUID) -> None:
    """One of two gates in the same batch."""
    rows = await sale.call(
        "ticket_check_in",
        tickets=[ticket] * 2,
        keys=[KEY] * 2,
        check_ins=[uuid4(), uuid4()],
        gates=["North", "South"],
        for_shows=[None, None],
        for_concerts=[None, None],
    )
    assert [row["outcome"] for row in rows] == ["checked_in", "again"]


async def test_unknown_ticket_is_not_found(sale: Sale, ticket: UUID) -> None:  # noqa: ARG001
    """A random id."""
    assert (await check_in(sale, uuid4()))["outcome"] == "not_found"


async def test_code_of_a_retired_key_is_not_found(sale: Sale, ticket: UUID) -> None:
    """What a retired key signed is no longer genuine."""
    await sale.execute("UPDATE signing_key SET retired_at = now() WHERE key_id = $1", KEY)
    assert (await check_in(sale, ticket))["outcome"] == "not_found"


@pytest.mark.parametrize("restriction", ["for_shows", "for_concerts"])
async def test_ticket_of_another_show_is_refused(
    sale: Sale, ticket: UUID, restriction: str
) -> None:
    """The refusal names the ticket's show and concert."""
    row = await check_in(sale, ticket, **{restriction: [uuid4()]})
    assert (row["outcome"], row["show_id"], row["concert_id"]) == (
        "wrong_show",
        sale.show_id,
        sale.concert_id,
    )


async def test_void_ticket_is_refused_with_its_reason(sale: Sale, ticket: UUID) -> None:
    """A refund makes a ticket void."""
    await sale.execute("UPDATE ticket SET void_at = now(), void_reason = 'refunded'")
    row = await check_in(sale, ticket)
    assert (row["outcome"], row["void_reason"]) == ("ticket_void", "refunded")
