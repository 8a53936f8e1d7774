"""Databases that outlive one test, for what is dear to fill."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from frontrow.db.cluster import APP, OWNER
from frontrow.db.server import EmbeddedServer
from tests.conftest import Database


@asynccontextmanager
async def fresh_database(engine: EmbeddedServer, template: Database) -> AsyncIterator[Database]:
    """A fresh migrated database, until the block ends."""
    name = f"test_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(engine.url(OWNER, "postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template.name}")
        yield Database(name, engine.url(OWNER, name), engine.url(APP, name))
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()
