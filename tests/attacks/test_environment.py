"""A hostile environment: line ends in secrets, and variables of PostgreSQL's clients."""

from pathlib import Path

import pytest

from testkit.database import Database
from testkit.server import frontrow, scratch

HOSTILE = {
    "PGHOST": "127.0.0.2",
    "PGHOSTADDR": "127.0.0.2",
    "PGPORT": "1",
    "PGUSER": "mallory",
    "PGPASSWORD": "wrong",
    "PGPASSFILE": "/dev/null",
    "PGDATABASE": "template1",
    "PGSERVICE": "elsewhere",
    "PGSERVICEFILE": "/nowhere",
    "PGOPTIONS": "-c default_transaction_read_only=on",
    "PGCLIENTENCODING": "SQL_ASCII",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nowhere",
    "PGSSLNEGOTIATION": "direct",
    "PGSSLMINPROTOCOLVERSION": "TLSv9",
    "PGTARGETSESSIONATTRS": "standby",
    "PGGSSLIB": "nonsense",
    "PGTZ": "Nowhere/Else",
    "PGDATA": "/nowhere",
}


@pytest.mark.parametrize("command", ["migrate", "audit", "backup"])
def test_variables_of_postgresql_neither_break_nor_redirect(
    database: Database, tmp_path: Path, command: str
) -> None:
    """Our connections and PostgreSQL's programs use the URL and nothing else."""
    # Without a port, which PGPORT would complete; and with the line end of a file.
    url = database.owner_url.replace("&port=5432", "")
    assert url != database.owner_url
    done = frontrow(
        command,
        *([str(tmp_path / "dump")] if command == "backup" else []),
        FRONTROW_DATABASE_URL=f"{url}\n",
        **HOSTILE,
    )
    assert done.returncode == 0, done.stderr
    (warning,) = (line for line in done.stderr.splitlines() if "warning" in line)
    assert "variables of PostgreSQL are ignored" in warning


def test_embedded_database_starts_in_a_hostile_environment() -> None:
    """Its programs get an environment of their own, and our connections only its URL."""
    with scratch() as folder:
        done = frontrow("migrate", FRONTROW_DATA_DIR=f"{folder / 'data'}\n", **HOSTILE)
        assert (done.returncode, "applied 0001" in done.stdout) == (0, True), done.stderr
        assert "are ignored" not in done.stderr
        assert [path.name for path in folder.iterdir()] == ["data"]
