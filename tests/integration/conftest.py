"""What the tests of the features share: the services of one process, without upkeep."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from frontrow.services import Services
from tests.buyers import Owner, services_on
from tests.conftest import Database


@pytest.fixture
async def services(database: Database) -> AsyncIterator[Services]:
    """The services of one process on a fresh database; nothing runs beside them."""
    async with services_on(database) as opened:
        yield opened


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Owner]:
    """A connection to the same database as the owner of the schema, to look and to tamper."""
    connection = await asyncpg.connect(database.owner_url)
    yield connection
    await connection.close()
