"""Prunes finished places, holds that ended unpaid, and revoked user keys.

Keeps transfers, payments, tickets, paid and refunded reservations. Each step is a short transaction
of its own beside running servers; after an interruption, run it again.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from frontrow.db.connect import EXPECTED, connect, connect_error
from frontrow.db.pool import SERVER_SETTINGS
from frontrow.retention.prune_queries import queries

# Nobody can join a line while a step drops its places: some ten milliseconds.
_STEP = 2_000
_NONE = UUID(int=0)

Progress = Callable[[int, int], None]


class Pruned(NamedTuple):
    """The numbers of rows that were dropped, or can be."""

    places: int
    reservations: int
    user_keys: int


class Plan(NamedTuple):
    """What can be dropped now; ``lines``: each line's room and the number of its places."""

    before: datetime
    lines: list[tuple[int, int]]
    reservations: int
    user_keys: int

    @property
    def total(self) -> Pruned:
        """The numbers of rows."""
        places = sum(places for _, places in self.lines)
        return Pruned(places, self.reservations, self.user_keys)


async def prune(
    database_url: str,
    *,
    older_than_days: int,
    dry_run: bool = False,
    progress: Progress = lambda _done, _total: None,
    connect_timeout_seconds: float = 10,
) -> Pruned:
    """Drops everything that ended more than ``older_than_days`` ago.

    Args:
        database_url: a migrated database, in use or not.
        older_than_days: at least 1: a client may still request younger rows.
        dry_run: only counts.
        progress: called with the number of dropped rows, and of all that can be dropped.
        connect_timeout_seconds: longest wait for the database.

    Returns:
        The dropped rows; in a dry run, the rows that can be dropped.

    Raises:
        SetupError: the database can't be reached, or the connection is lost.
    """
    settings = {
        **SERVER_SETTINGS,
        "application_name": "frontrow prune",
        # The rows to drop are counted first, which reads all of them.
        "statement_timeout": "1h",
    }
    connection = await connect(database_url, timeout_seconds=connect_timeout_seconds, **settings)
    try:
        plan = await _plan(connection, older_than_days)
        return plan.total if dry_run else await _carry_out(connection, plan, progress)
    except EXPECTED as error:
        raise connect_error(error, database_url) from error
    finally:
        await connection.close()


async def _plan(connection: "asyncpg.Connection[Any]", days: int) -> Plan:
    before = await queries.cutoff(connection, days=days)
    lines = await queries.prunable_lines(connection, before=before)
    holds = await queries.prunable_holds(
        connection,
        room_ids=[line.room_id for line in lines],
        untils=[line.until for line in lines],
        before=before,
    )
    keys = await queries.prunable_keys(connection, before=before)
    return Plan(before, [(line.room_id, line.places) for line in lines], holds, keys)


async def _carry_out(
    connection: "asyncpg.Connection[Any]", plan: Plan, progress: Progress
) -> Pruned:
    total = sum(plan.total)
    places = reservations = keys = 0
    progress(0, total)
    for room_id, _ in plan.lines:
        while dropped := await queries.prune_places(
            connection, room_id=room_id, before=plan.before, limit=_STEP
        ):
            places += dropped
            progress(places, total)
        await _drop_draw(connection, room_id)
    last: UUID | None = _NONE
    while last is not None:
        row = await queries.prune_holds(connection, after=last, before=plan.before, limit=_STEP)
        last = row.last
        reservations += row.dropped
        progress(places + reservations, total)
    while dropped := await queries.prune_keys(connection, before=plan.before, limit=_STEP):
        keys += dropped
        progress(places + reservations + keys, total)
    return Pruned(places, reservations, keys)


async def _drop_draw(connection: "asyncpg.Connection[Any]", room_id: int) -> None:
    """Drops the result of a line's draw, if its entrants were pruned."""
    after = 0
    while await queries.prune_drawn(connection, room_id=room_id, after=after, limit=_STEP):
        after += _STEP
