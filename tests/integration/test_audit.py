"""The audit: silent on the services' work; each kind of damage breaks its invariants."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from frontrow.audit import INVARIANTS, audit, run, service
from frontrow.audit.queries import checks
from frontrow.db.server import EmbeddedServer
from frontrow.errors import SetupError
from testkit.database import Database, fresh_database
from tests.buyers import services_on
from tests.integration.trading import trade, trade_concurrently


class Damage(NamedTuple):
    """The SQL of a kind of damage, and the invariants that it breaks."""

    breaks: set[str]
    does: str
    sql: str


def _damages() -> list[Damage]:
    """Returns the blocks of ``damage.sql``, without its head."""
    blocks = Path(__file__).with_name("damage.sql").read_text().strip().split("\n\n")[1:]
    damages = []
    for block in blocks:
        title, sql = block.removeprefix("-- ").split("\n", 1)
        breaks, does = title.split(": ")
        damages.append(Damage(set(breaks.split(", ")), does, sql))
    return damages


DAMAGES = _damages()


@pytest.fixture(scope="module")
async def traded(engine: EmbeddedServer, template: Database) -> AsyncIterator[Database]:
    """A database with data of every kind; the tests leave it unchanged."""
    async with fresh_database(engine, template) as database:
        await trade(database)
        yield database


@pytest.fixture(scope="module")
async def owner(traded: Database) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection with permission to damage any table."""
    connection = await asyncpg.connect(traded.owner_url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_traded_database_has_no_violation(traded: Database) -> None:
    """Each invariant checks some rows of a traded database and finds no violation."""
    findings = await run(traded.app_url)
    assert [found.invariant for found in findings] == list(INVARIANTS)
    assert [found for found in findings if found.violations or found.examples] == []
    assert [found.invariant for found in findings if found.checked == 0] == []
    assert all(found.says.endswith(".") for found in findings)


async def test_empty_database_has_no_violation(database: Database) -> None:
    """The audit passes on an empty database."""
    findings = await run(database.app_url)
    assert {(found.checked, found.violations) for found in findings} == {(0, 0)}


async def test_running_server_has_no_violation(database: Database) -> None:
    """The data is as consistent amid many transactions as after them."""
    async with services_on(database) as services:
        selling = asyncio.create_task(trade_concurrently(services, buyers=160))
        audits = 0
        while not selling.done():
            assert {found.violations for found in await run(database.app_url)} == {0}
            audits += 1
        await selling
    findings = {found.invariant: found for found in await run(database.app_url)}
    assert {found.violations for found in findings.values()} == {0}
    assert findings["sale_has_one_debit"].checked == 80
    assert audits > 0


def test_every_invariant_has_damage_of_its_own() -> None:
    """The report, the queries and the damage have the same invariants."""
    alone = {name for damage in DAMAGES if len(damage.breaks) == 1 for name in damage.breaks}
    assert set(checks) == set(INVARIANTS) == alone


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: str(damage.does))
async def test_damage_is_reported_by_its_invariants(
    owner: "asyncpg.Connection[Any]", damage: Damage
) -> None:
    """Each kind of damage is found by exactly those invariants that it breaks."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        await owner.execute(damage.sql)
        findings = await service._findings(owner)
    finally:
        await transaction.rollback()
    assert {found.invariant for found in findings if found.violations} == damage.breaks
    assert all(bool(found.violations) == bool(found.examples) for found in findings)


async def test_five_examples_of_many_violations(owner: "asyncpg.Connection[Any]") -> None:
    """Of many violations five are reported, as readable text."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        await owner.execute(
            "DELETE FROM stock; DELETE FROM ticket; DELETE FROM seat WHERE number = 9"
        )
        await owner.execute("UPDATE seat SET held_until = 'infinity', reservation_id = show_id")
        findings = {found.invariant: found for found in await service._findings(owner)}
    finally:
        await transaction.rollback()
    found = findings["seat_has_one_holder"]
    assert (found.violations, len(found.examples)) == (6 * 49 + 6, 5)
    assert all(example.startswith("seat ") for example in found.examples)


async def test_borrowed_connection_keeps_its_settings(owner: "asyncpg.Connection[Any]") -> None:
    """The audit's own time limit ends with its transaction."""
    before = await owner.fetchval("SHOW statement_timeout")
    assert await audit(owner)
    assert await owner.fetchval("SHOW statement_timeout") == before


async def test_the_audit_reads_one_snapshot_and_cannot_write(
    owner: "asyncpg.Connection[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The invariants are checked in a repeatable-read transaction that is read-only."""

    async def findings(connection: "asyncpg.Connection[Any]") -> list[service.Finding]:
        assert await connection.fetchval("SHOW transaction_isolation") == "repeatable read"
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("UPDATE wallet SET balance = 0")
        return []

    monkeypatch.setattr(service, "_findings", findings)
    assert await audit(owner) == []


async def test_unreachable_database_is_one_line(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A database that cannot be audited is reported as a set-up error."""
    nowhere = tmp_path_factory.mktemp("nowhere")
    with pytest.raises(SetupError, match="nothing answers"):
        await run(f"postgresql://nobody@/none?host={nowhere}", connect_timeout_seconds=0.1)
