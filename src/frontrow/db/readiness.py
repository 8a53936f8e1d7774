"""Whether a process can serve: the database answers, is migrated, and can write."""

import asyncio
import math
from time import monotonic
from typing import get_args

import asyncpg

from frontrow.db.faults import Cause, Faults, cause_of
from frontrow.db.migrate import pending
from frontrow.metrics import UNREADY

_CHECK_SECONDS = 2.0
_FRESH_SECONDS = 1.0

# A full disk refuses a temporary file before it refuses the growth of a table. This one has 1 MB.
_SMALL_MEMORY = "SET LOCAL work_mem = '64kB'"
_WRITE_FILE = """
WITH written AS MATERIALIZED (SELECT repeat('x', 1000) FROM generate_series(1, 1000))
SELECT current_setting('transaction_read_only') FROM written LIMIT 1 OFFSET 999
"""
# Makes the commit wait for the disk, and for a synchronous standby, without a row.
_WRITE_LOG = "SELECT pg_logical_emit_message(true, 'frontrow', 'ready')"


class Readiness:
    """Checks the database at most once a second, for any number of callers."""

    def __init__(self, pool: asyncpg.Pool, faults: Faults) -> None:
        self._pool = pool
        self._faults = faults
        self._checking = asyncio.Lock()
        self._checked_at = -math.inf
        self._found: Cause | None = None

    async def cause(self) -> Cause | None:
        """Returns why this process can't serve, and sets its metric; ``None`` if it can."""
        async with self._checking:
            if monotonic() - self._checked_at >= _FRESH_SECONDS:
                self._found = await self._check()
                self._checked_at = monotonic()
        cause = self._found or self._faults.cause
        for one in get_args(Cause):
            UNREADY.labels(one).set(one == cause)
        return cause

    async def _check(self) -> Cause | None:
        try:
            async with asyncio.timeout(_CHECK_SECONDS), self._pool.acquire() as connection:
                if await pending(connection):
                    return "not_migrated"
                async with connection.transaction():
                    await connection.execute(_SMALL_MEMORY)
                    if await connection.fetchval(_WRITE_FILE) == "on":
                        return "read_only"
                    await connection.execute(_WRITE_LOG)
        except asyncpg.ConfigurationLimitExceededError:
            return None  # temp_file_limit is below the size of the file
        except Exception as error:  # noqa: BLE001 - calls fail with it too
            return cause_of(error) or "unreachable"
        return None
