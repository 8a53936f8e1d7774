"""Erases users: their credentials, places and holds at once, the traces of what is over soon after.

What a purchase is made of stays under the user's id, which leads to nobody any more: see
``docs/guides/data.md``.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg

from frontrow.db.queries import load
from frontrow.errors import BalanceRemains, NotFound
from frontrow.metrics import count_finished
from frontrow.users.service import Users
from frontrow.waiting_room.snapshot import Snapshot

_queries = load("frontrow.retention", "erase_queries.sql")

# Users whose traces one pass over the places looks for.
_UNLINK_BATCH = 1_000


class Erasures:
    """Erases users, for one process.

    Args:
        wake: told the room where a slot has come free.
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
        """Erases a user; doing it again does what is left of it.

        Raises:
            NotFound: no such user.
            BalanceRemains: there is money left.
        """
        row = await erase(self._pool, user_id)
        self._users.forget_erased(user_id, row["revoked"])
        known = self._snapshot.lines
        lines = [known[room] for room in row["rooms"] if room in known]
        count_finished((line.concert_id for line in lines), "left")
        for line in lines:
            self._wake(line.room_id)

    async def unlink(self) -> int:
        """Makes what erased users left behind nobody's. Safe in every process.

        Returns:
            How many users are done with.
        """
        users: int = (await _queries.unlink(self._pool, limit=_UNLINK_BATCH))["users"]
        return users


async def erase(database: Any, user_id: UUID, *, force: bool = False) -> asyncpg.Record:  # noqa: ANN401 - a pool or a connection
    """Erases a user on a database.

    Args:
        database: a pool or a connection.
        user_id: who.
        force: also with a balance, which stays in the books.

    Returns:
        ``rooms``: the lines that the user left; ``revoked``: the hashes of the keys that ended.

    Raises:
        NotFound: no such user.
        BalanceRemains: there is money left.
    """
    row = await _queries.erase(database, user_id=user_id, force=force)
    if row["outcome"] == NotFound.code:
        raise NotFound
    if row["outcome"] == BalanceRemains.code:
        raise BalanceRemains(balance=row["balance"])
    # A join that was on its way knew nothing of it.
    for room in await _queries.rooms(database):
        await _queries.sweep(database, room_id=room["room_id"], user_id=user_id)
    return row


async def unlink_now(database: Any, user_id: UUID) -> bool:  # noqa: ANN401 - a pool or a connection
    """Makes what erased users left behind nobody's, without waiting for a server to do it.

    Returns:
        Whether this user is done with; a place whose time runs out is finished by a server first.
    """
    await _queries.unlink(database, limit=_UNLINK_BATCH)
    return bool(await _queries.is_unlinked(database, user_id=user_id))
