"""Attacks on a real server, each bounded and a few seconds long: one server for each module."""

from collections.abc import AsyncIterator

import pytest

from testkit.database import Database
from testkit.desk import Desk, open_desk


@pytest.fixture(scope="module")
async def desk(module_database: Database) -> AsyncIterator[Desk]:
    """A server for the attacks of one module."""
    async with open_desk(module_database) as made:
        yield made
