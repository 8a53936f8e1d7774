"""The main path on the PostgreSQL that the system has, set up as its operators would."""

from collections.abc import Iterator

import asyncpg
import pytest

from testkit.server import free_port, frontrow, serving
from tests.acceptance.elephant import APP, OWNER, Elephant, system_postgresql
from tests.acceptance.fans import Crowd, check_kept

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
def elephant() -> Iterator[Elephant]:
    """A PostgreSQL of the system's, with an empty database."""
    with system_postgresql() as running:
        yield running


async def test_main_path(elephant: Elephant) -> None:
    """Two roles, two hosts of which the first is dead, two workers: all is sold and adds up."""
    dead = f"127.0.0.1:{free_port()},"
    url = elephant.url(APP, hosts=dead) + "?target_session_attrs=read-write"
    owner_url = elephant.url(OWNER, hosts=dead) + "?target_session_attrs=read-write"
    refused = frontrow("migrate", f"--database-url={url}")
    assert refused.returncode == 3
    assert "Traceback" not in refused.stderr
    said = refused.stderr.splitlines()[-1]
    assert said.startswith("frontrow: the database role may not change the schema")
    with serving(
        f"--database-url={url}", workers=2, FRONTROW_MIGRATION_DATABASE_URL=owner_url
    ) as house:
        assert not house.directory.database.exists()
        concert = await house.concert(
            shows=2, seats=100, policy={"kind": "max_active", "max_active": 10}
        )
        crowd = Crowd(house.port, concert["concert_id"])
        async with crowd.coming(20):
            await crowd.further_sales(50)
        assert crowd.lost == crowd.away == 0
        await check_kept(crowd)
        await check_rights(elephant)
        checked = await house.audited()
        assert checked["sale_has_one_debit"] == len(crowd.sales)
        audit = frontrow("audit", f"--database-url={url}")
        assert audit.returncode == 0, audit.stdout + audit.stderr
        # With nothing to change, a role that may not will do.
        migrated = frontrow("migrate", f"--database-url={url}")
        assert (migrated.returncode, migrated.stdout) == (0, "the database is up to date\n")
        assert house.end() == 0
        log = house.log.read_text()
    assert f"127.0.0.1:{elephant.port}/concerts" in log
    assert "correct" not in log
    assert "Traceback" not in log


async def check_rights(elephant: Elephant) -> None:
    """The application's role may neither change the schema nor what the ledger says."""
    app = await asyncpg.connect(elephant.url(APP))
    try:
        assert await app.fetchval("SELECT count(*) FROM transfer") > 0
        for statement in FORBIDDEN:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement)
    finally:
        await app.close()
