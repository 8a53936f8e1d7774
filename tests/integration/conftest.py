"""Shared fixtures: the services of one process, without upkeep; a loop for state machines."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from frontrow.services import Services
from testkit.database import Database
from tests.buyers import Owner, services_on


@pytest.fixture
async def services(database: Database) -> AsyncIterator[Services]:
    """The services of one process on a fresh database, without upkeep."""
    async with services_on(database) as opened:
        yield opened


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Owner]:
    """A connection as the owner of the schema, to read and to change rows."""
    connection = await asyncpg.connect(database.owner_url)
    yield connection
    await connection.close()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """An event loop for a test that is no coroutine: a state machine's."""
    with asyncio.Runner() as made:
        yield made
