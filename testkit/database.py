"""Migrated databases for tests and benchmarks, and a digest of their rows."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from frontrow.db.cluster import APP, OWNER
from frontrow.db.server import EmbeddedServer


@dataclass(frozen=True)
class Database:
    """One database of the engine, as the owner of the schema and as the application."""

    name: str
    owner_url: str
    app_url: str
    kept: asyncpg.Connection | None = None
    """The owner's open connection, where tests share the database: connecting is slow."""
    loop: asyncio.AbstractEventLoop | None = None
    """The event loop of ``kept``."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def by_owner(self) -> AsyncIterator[asyncpg.Connection]:
        """Yields a connection of the owner."""
        if self.kept is not None and self.loop is asyncio.get_running_loop():
            async with self.turn:
                yield self.kept
            return
        connection = await asyncpg.connect(self.owner_url)
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def fresh_database(
    engine: EmbeddedServer, template: Database | None = None
) -> AsyncIterator[Database]:
    """Yields a copy of the template, or an empty database, and drops it afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    # Copying the files takes half of the CPU that writing all pages to the log takes.
    source = f"{template.name} STRATEGY file_copy" if template else "template0"
    admin = await asyncpg.connect(engine.url(OWNER, "postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
        yield Database(name, engine.url(OWNER, name), engine.url(APP, name))
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


async def digest_by(owner: asyncpg.Connection) -> dict[str, str | None]:
    """Returns a digest of the rows of each table; without those that upkeep changes."""
    tables = await owner.fetch(
        """SELECT relname FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""
    )
    query = " UNION ALL ".join(
        f"""SELECT '{table}' AS name, md5(string_agg(t::text, '|' ORDER BY t::text)) AS content
        FROM {table} AS t{" WHERE entries > 0" if table == "wallet" else ""}"""  # noqa: S608 - names from the catalogue
        for (table,) in tables
        if table not in {"line_pace", "forecast", "room_load", "seat_change"}
    )
    return {row["name"]: row["content"] for row in await owner.fetch(query)}
