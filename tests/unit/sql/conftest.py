"""A small sale for the tests of single database functions, each in a transaction of its own."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from frontrow.db.server import EmbeddedServer
from testkit.database import Database, fresh_database
from tests.unit.sql.sale import Sale


@pytest.fixture(scope="session")
async def shared_connection(
    engine: EmbeddedServer, template: Database
) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a migrated database that stays empty."""
    async with fresh_database(engine, template) as database:
        connection = await asyncpg.connect(database.owner_url)
        try:
            yield connection
        finally:
            await connection.close()


@pytest.fixture
async def sale(shared_connection: asyncpg.Connection) -> AsyncIterator[Sale]:
    """A concert with a show of ten seats; everything is rolled back after the test."""
    transaction = shared_connection.transaction()
    await transaction.start()
    try:
        yield await Sale.create(shared_connection)
    finally:
        await transaction.rollback()
