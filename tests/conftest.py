"""The engine of the tests: a real embedded PostgreSQL, and a fresh migrated database per test."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from frontrow.db.cluster import APP, DATABASE, OWNER
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Nothing here survives the test run, so that nothing needs to reach the disk. Killed processes
# still lose nothing: only a crash of the machine would.
FAST = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "1s"}


@dataclass(frozen=True)
class Database:
    """One database of the engine, as the owner of the schema and as the application."""

    name: str
    owner_url: str
    app_url: str
    kept: asyncpg.Connection | None = None
    """The owner's, where the database outlives its tests: to connect costs more than to ask."""
    loop: asyncio.AbstractEventLoop | None = None
    """The one that keeps it."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def by_owner(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the owner, for a moment."""
        if self.kept is not None and self.loop is asyncio.get_running_loop():
            async with self.turn:
                yield self.kept
            return
        connection = await asyncpg.connect(self.owner_url)
        try:
            yield connection
        finally:
            await connection.close()


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
    """A migrated database without connections, which the others are copied from."""
    made = Database(DATABASE, engine.owner_url, engine.app_url)
    await migrate(made.owner_url, app_role=APP)
    return made


@asynccontextmanager
async def fresh_database(engine: EmbeddedServer, template: Database) -> AsyncIterator[Database]:
    """A fresh migrated database, for a while."""
    name = f"test_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(engine.url(OWNER, "postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template.name}")
        yield Database(name, engine.url(OWNER, name), engine.url(APP, name))
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def database(engine: EmbeddedServer, template: Database) -> AsyncIterator[Database]:
    """A fresh migrated database for one test."""
    async with fresh_database(engine, template) as made:
        yield made
