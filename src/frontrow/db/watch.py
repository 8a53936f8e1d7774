"""Watches whether the database answers, and ends the connections to a server that doesn't.

A machine that is frozen, or cut off from the network, closes no connection. Statements on such a
connection would wait for many minutes while another server has long become the primary.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import asyncpg
import structlog

from frontrow.db.faults import Faults
from frontrow.db.hosts import HOST_SECONDS, Hosts

SILENT_SECONDS = 3.0
"""Without an answer for this long, all connections are ended."""

_ASK_SECONDS = 1.0
_REPORT_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class Watch:
    """Asks the database every second, on a connection of its own."""

    def __init__(self, hosts: Hosts, faults: Faults) -> None:
        self._hosts = hosts
        self._faults = faults
        self._connection: asyncpg.Connection[Any] | None = None
        self._answered_at = monotonic()
        self._lost_at: float | None = None
        self._reported_at = 0.0
        self._refused_before = 0

    @property
    def is_away(self) -> bool:
        """Whether the database doesn't answer, or refuses connections."""
        return self._lost_at is not None

    async def run(self) -> None:
        """Asks until it is cancelled."""
        try:
            while True:
                started = monotonic()
                try:
                    await self._ask()
                except Exception as error:  # noqa: BLE001 - whatever it is, there is no answer
                    self._end_own()
                    self._note_failure(error)
                else:
                    self._note_return()
                pause = max(0.1, _ASK_SECONDS - (monotonic() - started))
                started = monotonic()
                await asyncio.sleep(pause)
                self._excuse(monotonic() - started - pause)
        finally:
            self._end_own()

    async def _ask(self) -> None:
        """Raises an exception if there is no answer."""
        if self._connection is not None:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self._ask_now(self._connection)
                return
            # The server has ended this connection. That doesn't mean that it takes no other.
            self._end_own()
        self._connection = connection = await self._hosts.connect(
            timeout=HOST_SECONDS, server_settings={"application_name": "frontrow watch"}
        )
        await self._ask_now(connection)
        self._hosts.drop_others(connection)  # after a failover the old primary may be silent

    async def _ask_now(self, connection: "asyncpg.Connection[Any]") -> None:
        started = monotonic()
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                await connection.fetchval("SELECT 1")
        except TimeoutError:
            self._excuse(monotonic() - started - _ASK_SECONDS)
            raise _SilentError from None

    def _excuse(self, seconds: float) -> None:
        """Doesn't count the time for which this process itself stood still as a silence."""
        self._answered_at += max(0, seconds)

    def _end_own(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def note_answer(self) -> None:
        """Records that the database has answered any statement."""
        self._answered_at = monotonic()

    def _note_failure(self, error: Exception) -> None:
        now = monotonic()
        if now - self._answered_at < _ASK_SECONDS:
            return  # only this watch has no connection
        if isinstance(error, _SilentError | TimeoutError):
            self._hosts.doubt()
            if now - self._answered_at < SILENT_SECONDS:
                return
            self._hosts.drop_all()
        if self._lost_at is None:
            self._lost_at, self._refused_before = self._answered_at, self._faults.refusals
            _log.error("the database is lost", hosts=self._hosts.answers)
        elif now - self._reported_at >= _REPORT_SECONDS:
            _log.error(
                "the database is still away",
                seconds=round(now - self._lost_at),
                hosts=self._hosts.answers,
            )
        else:
            return
        self._reported_at = now

    def _note_return(self) -> None:
        self.note_answer()
        if self._lost_at is None:
            return
        _log.warning(
            "the database is back",
            seconds=round(self._answered_at - self._lost_at, 1),
            refused=self._faults.refusals - self._refused_before,
        )
        self._lost_at = None


class _SilentError(Exception):
    """A statement was not answered in time."""


@asynccontextmanager
async def watching(hosts: Hosts, faults: Faults) -> AsyncIterator[Watch]:
    """Watches the database until the block ends."""
    watch = Watch(hosts, faults)
    task = asyncio.create_task(watch.run(), name="watch of the database")
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
