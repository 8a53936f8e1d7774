"""The engine of the tests: a real embedded PostgreSQL, and fresh migrated databases."""

import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from frontrow import logs
from frontrow.db.cluster import APP, DATABASE
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from testkit.database import Database, fresh_database

# The duration of an example depends on the load of the machine, not on the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# The data is deleted after the test run, so that it need not reach the disk. Killed processes still
# lose nothing: only a crash of the machine would.
FAST = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "1s"}


@pytest.fixture(scope="session")
def engine() -> Iterator[EmbeddedServer]:
    """A running PostgreSQL 18, empty."""
    # Not pytest's own folder: root's is closed to the account that PostgreSQL runs as.
    folder = Path(tempfile.mkdtemp(prefix="frontrow-tests-"))
    try:
        with EmbeddedServer(folder, settings=FAST) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def template(engine: EmbeddedServer) -> Database:
    """A migrated database without connections, from which the others are copied."""
    made = Database(DATABASE, engine.owner_url, engine.app_url)
    await migrate(made.owner_url, app_role=APP)
    return made


@pytest.fixture
async def database(engine: EmbeddedServer, template: Database) -> AsyncIterator[Database]:
    """A fresh migrated database for one test."""
    async with fresh_database(engine, template) as made:
        yield made


@pytest.fixture(scope="module")
async def module_database(engine: EmbeddedServer, template: Database) -> AsyncIterator[Database]:
    """A new migrated database for the tests of one module."""
    async with fresh_database(engine, template) as made:
        yield made


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Restores the configuration of logging after a test that changes it."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    for name in logs.CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()
