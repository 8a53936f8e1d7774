"""A user's own data: exported whole, and erased as far as the books allow."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from frontrow import audit
from frontrow.errors import (
    BalanceRemains,
    CredentialInvalid,
    NotFound,
    TokenFinished,
)
from frontrow.ids import PlaceRef
from frontrow.retention import erasure
from frontrow.retention.export import export_pages
from frontrow.retention.model import UserExport
from frontrow.services import Services
from frontrow.users.service import new_key
from testkit.database import Database
from tests.buyers import (
    ConcertOnSale,
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
from tests.integration.features.holding import hold, join_again, taken

PRICE = 50_000
NOBODY = UUID("00000000-0000-0000-0000-0000000000ee")
# Every column with a user's id, by table, and the name of its data in an export.
EXPORTED = {
    ("app_user", "user_id"): "user_id",
    ("erasure", "user_id"): "erased_at",
    ("payment", "user_id"): "payments",
    ("place", "user_id"): "places",
    ("reservation", "user_id"): "reservations",
    ("ticket", "user_id"): "tickets",
    ("transfer", "user_id"): "transfers",
    ("user_key", "user_id"): "user_keys",
    ("wallet", "user_id"): "balance",
}


async def export(owner: Owner, user_id: UUID) -> dict[str, Any]:
    """Returns the export of a user."""
    pages = [page async for page in export_pages(owner, user_id, reader_seconds=9)]
    found: dict[str, Any] = json.loads(b"".join(pages))
    return found


async def broken(database: Database) -> list[str]:
    """Returns the violated invariants."""
    return [found.invariant for found in await audit.run(database.app_url) if found.violations]


async def lived(services: Services) -> tuple[ConcertOnSale, PlaceRef, PlaceRef]:
    """A user who bought, joined again and left, joined again and holds; and waits elsewhere."""
    made, other = await make_concert(services), await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    await services.payments.pay(
        place, (await hold(services, place, made, [1])).reservation_id, PRICE, None
    )
    second = await join_again(services, place)
    unwanted = await hold(services, second, made, [2])
    await services.reservations.release(unwanted.reservation_id, place.user_id, second)
    await services.reservations.leave(second)
    third = await join_again(services, place)
    await hold(services, third, made, [3])
    await services.rooms.pause(other.concert_id, paused=True)
    waiting = await join(services, other.concert_id, place.user_id)
    return made, third, waiting


async def test_everything_is_exported(services: Services, owner: Owner) -> None:
    """All data that is stored of a user, and of no other, in order."""
    made, place, _ = await lived(services)
    await buyer(services, made.concert_id, PRICE)
    found = await export(owner, place.user_id)
    assert list(found) == list(UserExport.__struct_fields__)
    assert found["user_id"] == str(place.user_id)
    assert (found["balance"], found["currency"], found["erased_at"]) == (0, "KRW", None)
    assert [p["state"] for p in found["places"]] == ["finished", "finished", "admitted", "waiting"]
    assert [p["reason"] for p in found["places"]] == ["paid", "left", None, None]
    assert [(r["seats"], r["state"]) for r in found["reservations"]] == [
        ([1], "paid"), ([2], "released"), ([3], "held"),
    ]  # fmt: skip
    assert [t["kind"] for t in found["transfers"]] == ["charge", "payment"]
    assert [(p["seats"], p["amount"]) for p in found["payments"]] == [([1], PRICE)]
    assert [t["number"] for t in found["tickets"]] == [1]
    assert [key["revoked_at"] for key in found["user_keys"]] == [None]


async def test_every_table_with_users_is_covered(owner: Owner) -> None:
    """A new table with user ids must be listed here, with its name in the export."""
    columns = await owner.fetch(
        """SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND column_name LIKE '%user_id' ORDER BY 1"""
    )
    # A solved challenge is deleted after its own end.
    assert {tuple(row) for row in columns} - {("used_challenge", "user_id")} == set(EXPORTED)
    assert set(EXPORTED.values()) <= set(UserExport.__struct_fields__)


async def test_long_export_comes_in_pages(services: Services, owner: Owner) -> None:
    """However long it is, the pages form one document."""
    guest = await services.users.add_guest()
    await owner.execute(
        """INSERT INTO transfer
        SELECT gen_random_uuid(), $1, n, 'charge', '00000000-0000-0000-0000-000000000001', $1, 1, n,
            NULL, now()
        FROM generate_series(1, 2500) AS n""",
        guest.user_id,
    )
    pages = [page async for page in export_pages(owner, guest.user_id, reader_seconds=9)]
    assert len(pages) > 3
    found = json.loads(b"".join(pages))
    assert [t["balance"] for t in found["transfers"]] == list(range(1, 2_501))
    with pytest.raises(NotFound):
        await anext(export_pages(owner, uuid4(), reader_seconds=9))


async def test_user_is_erased(services: Services, database: Database, owner: Owner) -> None:
    """Every credential, place and hold ends; the books and the ticket stay."""
    made, place, waiting = await lived(services)
    guest = await services.users.add_guest()
    before, books = await export(owner, place.user_id), await digest(database)
    await services.erasures.erase(place.user_id)
    after = await export(owner, place.user_id)
    assert [p["reason"] for p in after["places"]] == ["paid", "left", "left", "left"]
    assert [r["state"] for r in after["reservations"]] == ["paid", "released", "released"]
    assert list(await taken(owner)) == [1]
    assert all(key["revoked_at"] for key in after["user_keys"])
    for name in ("balance", "transfers", "payments", "tickets"):
        assert after[name] == before[name]
    assert {"transfer", "payment", "ticket", "wallet", "app_user"} <= {
        table for table, content in (await digest(database)).items() if content == books[table]
    }
    for token in (place, waiting):
        with pytest.raises(TokenFinished):
            await services.rooms.enter(token)
    for _ in range(2):
        with pytest.raises(CredentialInvalid):
            await services.rooms.join(place.user_id, made.concert_id)
    with pytest.raises(NotFound):
        await services.users.reissue_key(place.user_id, new_key())
    await join(services, made.concert_id, guest.user_id)
    await pass_time(database, 61)
    assert await broken(database) == []


async def test_keys_end_on_every_process(services: Services, database: Database) -> None:
    """At once on the process that erased, on another one with its next read of revocations."""
    guest = await services.users.add_guest()
    async with services_on(database) as other:
        assert await other.users.user_of(guest.user_key) == guest.user_id
        await services.erasures.erase(guest.user_id)
        with pytest.raises(CredentialInvalid):
            await services.users.user_of(guest.user_key)
        await other.users.read_revocations()
        with pytest.raises(CredentialInvalid):
            await other.users.user_of(guest.user_key)
        with pytest.raises(CredentialInvalid):
            other.users.check_not_erased(guest.user_id)
        with pytest.raises(CredentialInvalid):
            await other.users.add_account(guest.user_id)
    async with services_on(database) as later:
        with pytest.raises(CredentialInvalid):
            later.users.check_not_erased(guest.user_id)


async def test_ended_data_is_anonymised(
    services: Services, database: Database, owner: Owner
) -> None:
    """Places and holds without a purchase lose their user; those of other users keep theirs."""
    made, place, _ = await lived(services)
    bystander = await buyer(services, made.concert_id, PRICE)
    assert await services.erasures.unlink() == 0
    await services.erasures.erase(place.user_id)
    assert await services.erasures.unlink() == 1
    assert await services.erasures.unlink() == 0
    found = await export(owner, place.user_id)
    assert [p["reason"] for p in found["places"]] == ["paid"]
    assert [r["state"] for r in found["reservations"]] == ["paid"]
    assert await owner.fetchval("SELECT count(*) FROM place WHERE user_id = $1", NOBODY) == 3
    assert await owner.fetchval("SELECT count(*) FROM reservation WHERE user_id = $1", NOBODY) == 2
    assert len((await export(owner, bystander.user_id))["places"]) == 1
    await pass_time(database, 61)
    assert await broken(database) == []


async def test_unfinished_place_is_anonymised_later(
    services: Services, database: Database, owner: Owner
) -> None:
    """An ended place keeps its user until its end is recorded."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    await pass_time(database, 10_000)
    await services.erasures.erase(place.user_id)
    assert await services.erasures.unlink() == 0
    await admit_all(services, made.concert_id)
    assert await services.erasures.unlink() == 1
    assert await owner.fetchval("SELECT user_id FROM place") == NOBODY
    assert await broken(database) == []


async def test_balance_prevents_the_erasure(
    services: Services, database: Database, owner: Owner
) -> None:
    """A balance refuses the erasure, unless the operator insists. Then the balance stays."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 1)
    async with refused(database, BalanceRemains, balance=1):
        await services.erasures.erase(place.user_id)
    assert (await services.rooms.status(place)).state == "admitted"
    await erasure.erase(owner, place.user_id, force=True)
    assert (await export(owner, place.user_id))["balance"] == 1
    with pytest.raises(TokenFinished):
        await services.rooms.enter(place)
    await services.erasures.erase(place.user_id)  # it is done: the balance no longer matters
    assert await broken(database) == []


async def test_repeated_erasure_completes_it(
    services: Services, database: Database, owner: Owner
) -> None:
    """An interrupted erasure can be repeated; its time is that of the first call."""
    made = await make_concert(services)
    place = await join(services, made.concert_id)
    row = await owner.fetchrow("SELECT * FROM retention_erase($1, false)", place.user_id)
    assert (row["outcome"], len(row["revoked"])) == ("erased", 1)
    # A join that had not seen the erasure.
    await owner.execute(
        "UPDATE place SET state = 'waiting', reason = NULL, left_seq = NULL, finished_at = NULL"
    )
    await owner.execute("UPDATE waiting_room SET left_count = 0")
    once = await owner.fetchval("SELECT erased_at FROM erasure")
    await services.erasures.erase(place.user_id)
    assert await owner.fetchval("SELECT reason::text FROM place") == "left"
    assert await owner.fetchval("SELECT erased_at FROM erasure") == once
    with pytest.raises(NotFound):
        await services.erasures.erase(uuid4())
    assert await broken(database) == []


async def test_anonymised_data_is_pruned(
    services: Services, database: Database, owner: Owner
) -> None:
    """Anonymised data is pruned like all other data."""
    _, place, _ = await lived(services)
    await services.erasures.erase(place.user_id)
    await services.erasures.unlink()
    for room_id in services.rooms.snapshot.lines:
        await owner.execute("SELECT waiting_room_prune($1, clock_timestamp(), 100)", room_id)
    assert await owner.fetchval("SELECT count(*) FROM place") == 0
    assert (await export(owner, place.user_id))["places"] == []
    assert await broken(database) == []
