"""Money: charges, balances, and an append-only ledger."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from frontrow.errors import (
    CredentialInvalid,
    IdempotencyKeyReused,
    InvalidRequest,
    NotAdmitted,
    TokenFinished,
)
from frontrow.services import Services
from frontrow.wallet.model import Balance
from testkit.database import Database
from tests.buyers import (
    Owner,
    admit_all,
    buyer,
    digest,
    join,
    make_concert,
    pass_time,
    refused,
    services_on,
)


async def test_wallet_is_charged(services: Services, owner: Owner) -> None:
    """The balance grows by one row of the ledger, from the house's cash to the user."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    first, replayed = await services.ledger.charge(place, 70_000, None)
    assert (first.user_id, first.amount, first.balance) == (place.user_id, 70_000, 70_000)
    assert not replayed
    second, _ = await services.ledger.charge(place, 1, None)
    assert (second.balance, second.charge_id != first.charge_id) == (70_001, True)
    assert await services.ledger.balance(place.user_id) == Balance(place.user_id, 70_001, "KRW")
    row = await owner.fetchrow("SELECT * FROM transfer WHERE transfer_id = $1", first.charge_id)
    cash = await owner.fetchval("SELECT account_id FROM house_account WHERE name = 'cash'")
    assert (row["debit_account"], row["credit_account"]) == (cash, place.user_id)
    assert (row["kind"], row["amount"], row["balance"], row["entry"]) == (
        "charge",
        70_000,
        70_000,
        1,
    )
    assert (row["reference"], row["created_at"]) == (None, first.created_at)
    assert tuple(await owner.fetchrow("SELECT balance, entries FROM wallet")) == (70_001, 2)


async def test_charge_claims_the_place(services: Services) -> None:
    """It is an admitted call like any other."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    charge, _ = await services.ledger.charge(place, 1, None)
    assert (await services.rooms.status(place)).claimed_at == charge.created_at


async def test_largest_charge(services: Services) -> None:
    """The contract's largest amount, many times, is summed exactly."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    for times in range(1, 6):
        charge, _ = await services.ledger.charge(place, 1_000_000_000, None)
        assert charge.balance == times * 1_000_000_000


async def test_same_key_charges_once(services: Services, database: Database) -> None:
    """The same key and amount: the first answer, with its balance; also later."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    first, _ = await services.ledger.charge(place, 500, "key")
    await services.ledger.charge(place, 1, None)
    before = await digest(database)
    assert await services.ledger.charge(place, 500, "key") == (first, True)
    await services.reservations.leave(place)
    after = await digest(database)
    assert await services.ledger.charge(place, 500, "key") == (first, True)
    assert await digest(database) == after
    assert after["transfer"] == before["transfer"]


async def test_concurrent_charges_with_one_key(services: Services, owner: Owner) -> None:
    """Ten in one batch charge once."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    answers = await asyncio.gather(*[services.ledger.charge(place, 500, "key") for _ in range(10)])
    assert [charge for charge, _ in answers] == [answers[0][0]] * 10
    assert sum(replayed for _, replayed in answers) == 9
    assert await owner.fetchval("SELECT sum(amount) FROM transfer") == 500


async def test_key_of_another_charge_is_refused(services: Services, database: Database) -> None:
    """The same key with another amount."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    await services.ledger.charge(place, 500, "key")
    async with refused(database, IdempotencyKeyReused):
        await services.ledger.charge(place, 501, "key")


async def test_many_charges_of_one_user(services: Services, owner: Owner) -> None:
    """Each has its own balance, in order of arrival, and none is lost."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    charges = await asyncio.gather(
        *[services.ledger.charge(place, amount, None) for amount in range(1, 21)]
    )
    assert [charge.balance for charge, _ in charges] == [n * (n + 1) // 2 for n in range(1, 21)]
    assert await owner.fetchval("SELECT entries FROM wallet") == 20


async def test_charges_over_two_processes(
    services: Services, database: Database, owner: Owner
) -> None:
    """Two processes charge the same wallets concurrently: the sums are exact."""
    made = await make_concert(services)
    places = [await join(services, made.concert_id) for _ in range(10)]
    await admit_all(services, made.concert_id)
    async with services_on(database) as other:
        await asyncio.gather(
            *[
                process.ledger.charge(place, 100, None)
                for _ in range(5)
                for place in places
                for process in (services, other)
            ]
        )
    assert await owner.fetchval("SELECT count(*) FROM transfer") == 100
    balances = await owner.fetch("SELECT balance, entries FROM wallet")
    assert [tuple(row) for row in balances] == [(1_000, 10)] * 10


async def test_unsuitable_tokens_are_refused(services: Services, database: Database) -> None:
    """A waiting, a finished and a forged place."""
    made = await make_concert(services, claim_seconds=60)
    waiting = await join(services, made.concert_id)
    async with refused(database, NotAdmitted):
        await services.ledger.charge(waiting, 1, None)
    await admit_all(services, made.concert_id)
    async with refused(database, CredentialInvalid):
        await services.ledger.charge(msgspec.structs.replace(waiting, place_id=uuid4()), 1, None)
    await pass_time(database, 60)
    async with refused(database, TokenFinished, reason="expired"):
        await services.ledger.charge(waiting, 1, None)
    left = await buyer(services, made.concert_id)
    await services.reservations.leave(left)
    async with refused(database, TokenFinished, reason="left"):
        await services.ledger.charge(left, 1, None)


async def test_balances_of_many_users(services: Services) -> None:
    """Concurrent readers share a query; a user without a charge has zero."""
    made = await make_concert(services)
    places = [await buyer(services, made.concert_id, amount) for amount in (5, 6, 7)]
    users = [place.user_id for place in places] + [uuid4()]
    found = await asyncio.gather(*[services.ledger.balance(user) for user in users * 2])
    assert [balance.balance for balance in found] == [5, 6, 7, 0] * 2
    assert [balance.user_id for balance in found] == users * 2


async def test_transfers_page_by_page(services: Services) -> None:
    """Newest first, each once; a payment is among the charges."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    charges = [(await services.ledger.charge(place, n * 10_000, None))[0] for n in range(1, 6)]
    held, _ = await services.reservations.hold(place, made.shows[0], [1], None)
    payment, _ = await services.payments.pay(place, held.reservation_id, 50_000, None)
    pages = []
    after: str | None = None
    while True:
        page = await services.ledger.transfers(place.user_id, limit=2, after=after)
        pages.append(page.transfers)
        after = page.next
        if after is None:
            break
    assert [len(page) for page in pages] == [2, 2, 2]
    rows = [row for page in pages for row in page]
    assert [(row.kind, row.amount, row.balance) for row in rows] == [
        ("payment", 50_000, 100_000),
        ("charge", 50_000, 150_000),
        ("charge", 40_000, 100_000),
        ("charge", 30_000, 60_000),
        ("charge", 20_000, 30_000),
        ("charge", 10_000, 10_000),
    ]
    assert [row.transfer_id for row in rows[:0:-1]] == [charge.charge_id for charge in charges]
    assert (rows[0].transfer_id, rows[0].reference) == (payment.payment_id, payment.payment_id)
    assert rows[0].created_at == payment.paid_at
    whole = await services.ledger.transfers(place.user_id, limit=6, after=None)
    assert (whole.transfers, whole.next) == (rows, None)
    assert (await services.ledger.transfers(uuid4(), limit=6, after=None)).transfers == []


@pytest.mark.parametrize("after", ["", "x", "-1", "1.5", "²", "12345678901", str(UUID(int=7))])
async def test_invalid_page_is_refused(services: Services, database: Database, after: str) -> None:
    """A cursor that no page has returned."""
    errors = [{"pointer": "after", "detail": "take it from the page before"}]
    async with refused(database, InvalidRequest, errors=errors):
        await services.ledger.transfers(uuid4(), limit=2, after=after)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE transfer SET amount = amount + 1",
        "UPDATE transfer SET created_at = created_at",
        "DELETE FROM transfer",
        "TRUNCATE transfer",
    ],
)
async def test_ledger_is_append_only(services: Services, database: Database, change: str) -> None:
    """Neither the application nor the owner of the schema can change its rows."""
    made = await make_concert(services)
    await buyer(services, made.concert_id, 500)
    before = await digest(database)
    for url in (database.app_url, database.owner_url):
        connection = await asyncpg.connect(url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(change)
        await connection.close()
    assert await digest(database) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE wallet SET balance = -1",
        """INSERT INTO transfer
        SELECT gen_random_uuid(), user_id, 2, kind, debit_account, credit_account, 0, 500, NULL,
            created_at FROM transfer""",
        """INSERT INTO transfer
        SELECT gen_random_uuid(), user_id, 2, kind, user_id, user_id, 1, 501, NULL, created_at
        FROM transfer""",
        """INSERT INTO transfer
        SELECT gen_random_uuid(), user_id, 2, 'payment', debit_account, credit_account, 1, 501,
            gen_random_uuid(), created_at FROM transfer""",
    ],
)
async def test_constraints_of_the_ledger(services: Services, owner: Owner, change: str) -> None:
    """Safeguard: no negative balance, no empty, reversed or self transfer."""
    made = await make_concert(services)
    await buyer(services, made.concert_id, 500)
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(change)
