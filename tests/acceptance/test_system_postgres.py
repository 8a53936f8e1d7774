"""The main path on the system's PostgreSQL, set up as operators would."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import yaml  # type: ignore[import-untyped]

from frontrow.db.programs import ENVIRONMENT, wheel_folder
from testkit.server import free_port, frontrow, serving
from tests.acceptance.fans import Crowd, check_kept
from tests.acceptance.system_postgres import APP, OWNER, SystemPostgres, system_postgresql

CONTAINER = Path(__file__).parents[2] / "deploy/container"
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


def test_roles_of_the_sample_for_compose_are_no_superusers(postgres: SystemPostgres) -> None:
    """The migration's URL migrates; the instances' can neither do that nor change the schema."""
    services = yaml.safe_load((CONTAINER / "compose.yml").read_text())["services"]
    secrets = {"FRONTROW_MIGRATION_PASSWORD": "m-1.~_x", "FRONTROW_SERVER_PASSWORD": "s-2.~_x"}

    def url_of(service: str, variable: str) -> str:
        url: str = services[service]["environment"][variable]
        for name, value in secrets.items():
            url = url.replace(f"${{{name}:?}}", value)
        return url.replace("@postgres/", f"@127.0.0.1:{postgres.port}/")

    mounted = services["postgres"]["volumes"]
    assert "./roles.sql:/docker-entrypoint-initdb.d/roles.sql:ro" in mounted
    assert secrets.keys() <= services["postgres"]["environment"].keys()
    subprocess.run(
        [wheel_folder() / "bin/psql", postgres.url("dba").replace("/concerts", "/postgres"),
         "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={CONTAINER / 'roles.sql'}"],
        check=True,
        capture_output=True,
        env={**ENVIRONMENT, **secrets},
    )  # fmt: skip
    assert services["one"] == services["two"]
    assert "FRONTROW_MIGRATION_DATABASE_URL" not in services["one"]["environment"]
    server_url = url_of("one", "FRONTROW_DATABASE_URL")
    refused = frontrow("migrate", f"--database-url={server_url}")
    assert refused.returncode == 3
    assert "the database role may not change the schema" in refused.stderr
    done = frontrow(
        *services["migrate"]["command"],
        FRONTROW_DATABASE_URL=url_of("migrate", "FRONTROW_DATABASE_URL"),
        FRONTROW_MIGRATION_DATABASE_URL=url_of("migrate", "FRONTROW_MIGRATION_DATABASE_URL"),
    )
    assert done.returncode == 0, done.stderr
    assert "superuser" not in done.stderr
    assert frontrow("audit", f"--database-url={server_url}").returncode == 0
