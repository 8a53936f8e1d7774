"""Erases users: their credentials, places and holds at once, their ended places soon after.

Purchases stay under the user's id, which no longer identifies anybody: see ``docs/guides/data.md``.
"""

from collections.abc import Callable
from uuid import UUID

import asyncpg

from frontrow.db.outcomes import check
from frontrow.db.queries import Database
from frontrow.errors import BalanceRemains, NotFound
from frontrow.metrics import count_finished
from frontrow.retention.erase_queries import EraseRow, queries
from frontrow.retention.export_queries import queries as export_queries
from frontrow.users.service import Users
from frontrow.waiting_room.snapshot import Snapshot

# Users whose places one pass looks for.
_UNLINK_BATCH = 1_000


class Erasures:
    """Erases users, for one process.

    Args:
        wake: called with a room in which a slot is free.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        users: Users,
        snapshot: Snapshot,
        *,
        wake: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._users = users
        self._snapshot = snapshot
        self._wake = wake

    async def erase(self, user_id: UUID) -> None:
        """Erases a user; a repeated call completes the erasure.

        Raises:
            NotFound: no such user.
            BalanceRemains: there is money left.
        """
        row = await erase(self._pool, user_id)
        self._users.forget_erased(user_id, row.revoked)
        known = self._snapshot.lines
        lines = [known[room] for room in row.rooms if room in known]
        count_finished((line.concert_id for line in lines), "left")
        for line in lines:
            self._wake(line.room_id)

    async def unlink(self) -> int:
        """Unlinks the ended places and holds of erased users. Safe in every process.

        Returns:
            The number of users whose erasure is complete.
        """
        return (await queries.unlink(self._pool, limit=_UNLINK_BATCH)).users


async def check_erasable(database: Database, user_id: UUID, *, force: bool = False) -> None:
    """Raises what ``erase`` would raise now, and changes nothing."""
    account = await export_queries.account(database, user_id=user_id)
    if account is None:
        raise NotFound
    if account.balance and account.erased_at is None and not force:
        raise BalanceRemains(balance=account.balance)


async def erase(database: Database, user_id: UUID, *, force: bool = False) -> EraseRow:
    """Erases a user on a database.

    Args:
        database: a pool or a connection.
        user_id: the user.
        force: also with a balance, which stays in the ledger.

    Raises:
        NotFound: no such user.
        BalanceRemains: there is money left.
    """
    row = await queries.erase(database, user_id=user_id, force=force)
    check(row)
    # A join that ran at the same moment may have missed the erasure.
    for room_id in await queries.rooms(database):
        await queries.sweep(database, room_id=room_id, user_id=user_id)
    return row


async def unlink_now(database: Database, user_id: UUID) -> bool:
    """Unlinks the ended places and holds of erased users, without waiting for a server.

    Returns:
        Whether this user's erasure is complete; a server has to finish an overdue place first.
    """
    await queries.unlink(database, limit=_UNLINK_BATCH)
    return bool(await queries.is_unlinked(database, user_id=user_id))
