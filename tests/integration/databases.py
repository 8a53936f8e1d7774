"""Databases that are shared by tests or runs, because they take long to fill; emptied between."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from frontrow.db.cluster import APP, OWNER
from frontrow.db.server import EmbeddedServer
from testkit.database import Database
from tests.buyers import Owner

# Tables with the rows of buyers and lines; what every process needs stays.
_EMPTY = """
TRUNCATE ticket, payment, reservation, seat, seat_change, stock, sold_delta, transfer, wallet,
    forecast, line_pace, room_load, drawn, draw, admission, policy_change, place, waiting_room,
    cancellation, show_section, show, concert, app_user, erasure, user_key CASCADE
"""


@asynccontextmanager
async def fresh_database(engine: EmbeddedServer, template: Database) -> AsyncIterator[Database]:
    """Yields a fresh migrated database."""
    name = f"test_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(engine.url(OWNER, "postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template.name}")
        yield Database(name, engine.url(OWNER, name), engine.url(APP, name))
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


async def empty(owner: Owner) -> None:
    """Empties a database for the next run."""
    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(_EMPTY)
