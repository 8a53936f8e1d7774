"""The main path on the system's PostgreSQL, set up as operators would."""

from collections.abc import Iterator

import asyncpg
import pytest

from testkit.server import free_port, frontrow, serving
from tests.acceptance.fans import Crowd, check_kept
from tests.acceptance.system_postgres import APP, OWNER, SystemPostgres, system_postgresql

FORBIDDEN = (
    "CREATE TABLE mine (id int)",
    "ALTER TABLE seat DROP COLUMN price",
    "DROP TABLE transfer",
    "CREATE OR REPLACE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "UPDATE transfer SET amount = amount + 1",
    "DELETE FROM transfer",
    "TRUNCATE transfer",
    "ALTER TABLE transfer DISABLE TRIGGER ALL",
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[SystemPostgres]:
    """A PostgreSQL of the system, with an empty database."""
    with system_postgresql() as running:
        yield running


async def test_sale_on_a_system_postgres_passes_the_audit(postgres: SystemPostgres) -> None:
    """Two roles, two hosts (the first dead) and two workers: everything is sold and adds up."""
    dead = f"127.0.0.1:{free_port()},"
    url = postgres.url(APP, hosts=dead) + "?target_session_attrs=read-write"
    owner_url = postgres.url(OWNER, hosts=dead) + "?target_session_attrs=read-write"
    refused = frontrow("migrate", f"--database-url={url}")
    assert refused.returncode == 3
    assert "Traceback" not in refused.stderr
    said = refused.stderr.splitlines()[-1]
    assert said.startswith("frontrow: the database role may not change the schema")
    with serving(
        f"--database-url={url}", workers=2, FRONTROW_MIGRATION_DATABASE_URL=owner_url
    ) as server:
        assert not server.directory.database.exists()
        concert = await server.concert(
            shows=2, seats=100, policy={"kind": "max_active", "max_active": 10}
        )
        crowd = Crowd(server.port, concert["concert_id"])
        async with crowd.coming(20):
            await crowd.further_sales(50)
        assert crowd.lost == crowd.away == 0
        await check_kept(crowd)
        await check_rights(postgres)
        checked = await server.audited()
        assert checked["sale_has_one_debit"] == len(crowd.sales)
        audit = frontrow("audit", f"--database-url={url}")
        assert audit.returncode == 0, audit.stdout + audit.stderr
        # Without pending migrations, a role that may not change the schema is enough.
        migrated = frontrow("migrate", f"--database-url={url}")
        assert (migrated.returncode, migrated.stdout) == (0, "the database is up to date\n")
        assert server.end() == 0
        log = server.log.read_text()
    assert f"127.0.0.1:{postgres.port}/concerts" in log
    assert "correct" not in log
    assert "Traceback" not in log


async def check_rights(postgres: SystemPostgres) -> None:
    """The application's role can change neither the schema nor the ledger."""
    app = await asyncpg.connect(postgres.url(APP))
    try:
        assert await app.fetchval("SELECT count(*) FROM transfer") > 0
        for statement in FORBIDDEN:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement)
    finally:
        await app.close()
