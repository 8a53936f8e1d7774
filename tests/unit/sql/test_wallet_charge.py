"""``wallet_charge``: money comes into a wallet, with a row of the ledger."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.unit.sql.sale import Place, Sale


async def charge(sale: Sale, place: Place, amount: int, **changes: Any) -> asyncpg.Record:
    """Charges the wallet of a place's user."""
    given: dict[str, Any] = {
        **place.key,
        "users": [place.user_id],
        "transfers": [uuid4()],
        "amounts": [amount],
    }
    return await sale.call_one("wallet_charge", **given | changes)


async def test_charge_adds_to_the_balance(sale: Sale) -> None:
    """The second charge starts from the balance of the first."""
    place = await sale.place("claimed")
    assert (await charge(sale, place, 30_000))["balance"] == 30_000
    row = await charge(sale, place, 20_000)
    assert (row["outcome"], row["balance"]) == ("charged", 50_000)
    assert await sale.balance(place.user_id) == 50_000


async def test_charge_is_a_transfer_from_cash(sale: Sale) -> None:
    """Its other account is the house's cash account."""
    place = await sale.place("claimed")
    await charge(sale, place, 30_000)
    row = await sale.connection.fetchrow(
        """SELECT kind::text, amount, balance, credit_account, h.name
        FROM transfer AS t JOIN house_account AS h ON h.account_id = t.debit_account"""
    )
    assert tuple(row) == ("charge", 30_000, 30_000, place.user_id, "cash")


async def test_same_id_is_replayed(sale: Sale) -> None:
    """The first balance again; the money moves once."""
    place, transfer = await sale.place("claimed"), uuid4()
    await charge(sale, place, 30_000, transfers=[transfer])
    await charge(sale, place, 10_000)
    row = await charge(sale, place, 30_000, transfers=[transfer])
    assert (row["outcome"], row["balance"]) == ("replayed", 30_000)
    assert await sale.balance(place.user_id) == 40_000


async def test_same_id_with_another_amount_is_refused(sale: Sale) -> None:
    """The balance stays."""
    place, transfer = await sale.place("claimed"), uuid4()
    await charge(sale, place, 30_000, transfers=[transfer])
    row = await charge(sale, place, 40_000, transfers=[transfer])
    assert row["outcome"] == "idempotency_key_reused"
    assert await sale.balance(place.user_id) == 30_000


async def test_second_charge_of_a_user_in_a_batch_is_run_again(sale: Sale) -> None:
    """At most one transfer per wallet and batch."""
    place = await sale.place("claimed")
    rows = await sale.call(
        "wallet_charge",
        **{name: values * 2 for name, values in place.key.items()},
        users=[place.user_id] * 2,
        transfers=[uuid4(), uuid4()],
        amounts=[1, 2],
    )
    assert [row["outcome"] for row in rows] == ["charged", "again"]
    assert await sale.balance(place.user_id) == 1


@pytest.mark.parametrize(
    ("state", "outcome", "reason"),
    [
        ("waiting", "not_admitted", None),
        ("overdue", "token_finished", "expired"),
        ("paid", "token_finished", "paid"),
    ],
)
async def test_place_that_may_not_act_is_refused(
    sale: Sale, state: str, outcome: str, reason: str | None
) -> None:
    """No money moves."""
    row = await charge(sale, await sale.place(state), 1)
    assert (row["outcome"], row["reason"]) == (outcome, reason)
    assert await sale.fetchval("SELECT count(*) FROM transfer") == 0


async def test_place_of_another_token_is_invalid(sale: Sale) -> None:
    """No money moves."""
    row = await charge(sale, await sale.place("claimed"), 1, places=[uuid4()])
    assert row["outcome"] == "credential_invalid"
    assert await sale.fetchval("SELECT count(*) FROM transfer") == 0
