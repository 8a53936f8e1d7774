"""One browser for all tests of the pages; one server for each module."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from testkit.database import Database
from testkit.desk import Desk, open_desk
from tests.pages.browser import chromium


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium without a window."""
    async with chromium() as started:
        yield started


@pytest.fixture(scope="module")
async def desk(module_database: Database) -> AsyncIterator[Desk]:
    """A server for the tests of one module."""
    async with open_desk(module_database) as made:
        yield made
