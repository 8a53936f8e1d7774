"""One browser for all tests of the pages, one server for each module of them."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from frontrow.db.server import EmbeddedServer
from tests.conftest import Database, fresh_database
from tests.pages.browser import chromium
from tests.web.fans import Desk, open_desk


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, without a window."""
    async with chromium() as started:
        yield started


@pytest.fixture(scope="module")
async def desk(engine: EmbeddedServer, template: Database) -> AsyncIterator[Desk]:
    """A server for the tests of one module."""
    async with fresh_database(engine, template) as database, open_desk(database) as made:
        yield made
