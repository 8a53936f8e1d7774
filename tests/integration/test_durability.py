"""The report at start on which failures an acknowledged transaction survives."""

import asyncpg
import pytest

from frontrow.db.durability import judge, read
from testkit.database import Database

SAFE = {
    "fsync": True,
    "full_page_writes": True,
    "synchronous_commit": "on",
    "standbys": "",
}


@pytest.mark.parametrize(
    ("settings", "says", "risky"),
    [
        ({}, "no synchronous standby", False),
        ({"fsync": False}, "may destroy", True),
        ({"full_page_writes": False}, "may damage", True),
        ({"synchronous_commit": "off"}, "just before it", True),
        ({"standbys": "*"}, "survives the loss of the primary (standbys: *)", False),
        ({"standbys": "*", "synchronous_commit": "remote_apply"}, "loss of the primary", False),
        ({"standbys": "*", "synchronous_commit": "remote_write"}, "unless the standby", False),
        ({"standbys": "*", "synchronous_commit": "local"}, "a failover may lose it", True),
        # The most dangerous setting is the one that is reported.
        ({"standbys": "*", "synchronous_commit": "local", "fsync": False}, "may destroy", True),
    ],
)
def test_settings_are_reported_with_their_risk(
    settings: dict[str, object], says: str, risky: bool
) -> None:
    """Each risk is named, and only a risk is logged as a warning."""
    finding = judge(**{**SAFE, **settings})  # type: ignore[arg-type]
    assert says in finding.says
    assert finding.risky is risky


async def test_missing_fsync_is_reported(database: Database) -> None:
    """The settings are read from the database: the tests run without fsync."""
    connection = await asyncpg.connect(database.app_url)
    try:
        assert "fsync is off" in (await read(connection)).says
    finally:
        await connection.close()
