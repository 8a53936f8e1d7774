"""Attacks on a real server, each bounded and a few seconds long: one server for each module."""

from collections.abc import AsyncIterator

import pytest

from frontrow.db.server import EmbeddedServer
from testkit.database import Database, fresh_database
from testkit.desk import Desk, open_desk


@pytest.fixture(scope="module")
async def desk(engine: EmbeddedServer, template: Database) -> AsyncIterator[Desk]:
    """A server for the attacks of one module."""
    async with fresh_database(engine, template) as database, open_desk(database) as made:
        yield made
