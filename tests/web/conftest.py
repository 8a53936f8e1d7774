"""Servers for the tests over HTTP."""

from collections.abc import AsyncIterator

import pytest

from testkit.database import Database
from testkit.desk import Desk, open_desk


@pytest.fixture(scope="module")
async def desk(module_database: Database) -> AsyncIterator[Desk]:
    """A server and its client for the tests of one module."""
    async with open_desk(module_database) as made:
        yield made


@pytest.fixture(scope="module")
async def still_desk(module_database: Database) -> AsyncIterator[Desk]:
    """Like ``desk``, but without upkeep: nothing changes except through the test."""
    async with open_desk(module_database, stock_seconds=3600, expiry_tick_seconds=3600) as made:
        yield made
