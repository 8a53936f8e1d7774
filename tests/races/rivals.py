"""Two connections that conflict in a known order, for the control of each race.

A control does the same job without the protection, on tables of its own, and fails under the same
interleaving. It shows that the race is real and does not depend on luck.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from testkit.database import Database

LONGEST_WAIT_SECONDS = 10


class Rivals:
    """Two connections as the owner of the schema, and a third one that observes them."""

    def __init__(self, one: Any, other: Any, watcher: Any) -> None:
        self.one = one
        self.other = other
        self._watcher = watcher

    @asynccontextmanager
    async def other_waits(
        self, query: str, *arguments: object
    ) -> AsyncIterator["asyncio.Task[Any]"]:
        """Starts a query on the other connection; returns once it waits for a lock of the first."""
        waiting = asyncio.create_task(self.other.fetchval(query, *arguments))
        await self.until(
            "SELECT cardinality(pg_blocking_pids($1)) > 0", self.other.get_server_pid()
        )
        assert not waiting.done()
        yield waiting
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            await waiting

    async def until(self, query: str, *arguments: object) -> None:
        """Waits until a query returns true."""
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            while not await self._watcher.fetchval(query, *arguments):
                pass


@asynccontextmanager
async def rivals(database: Database) -> AsyncIterator[Rivals]:
    """Yields two rivals on a test's database."""
    connections = [await asyncpg.connect(database.owner_url) for _ in range(3)]
    try:
        yield Rivals(*connections)
    finally:
        for connection in connections:
            await connection.close()


async def fetch(database: Database, query: str, *arguments: object) -> list[Any]:
    """Returns the rows of a query, without any service."""
    async with database.by_owner() as owner:
        return list(await owner.fetch(query, *arguments))
