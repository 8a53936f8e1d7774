"""The durability of acknowledged transactions, reported at start.

Frontrow answers a buyer when PostgreSQL says that a transaction is committed. PostgreSQL's settings
decide which failures that transaction survives (its manual, sections 28.1, 28.3 and 20.6); this
module describes it in one sentence.
"""

from typing import Any, NamedTuple

import asyncpg

_QUERY = """
SELECT current_setting('fsync') = 'on' AS fsync,
    current_setting('full_page_writes') = 'on' AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('synchronous_standby_names') AS standbys
"""


class Durability(NamedTuple):
    """The failures that an acknowledged transaction survives, and whether it is at risk."""

    says: str
    risky: bool


async def read(connection: "asyncpg.Connection[Any]") -> Durability:
    """Returns the durability of this connection's transactions."""
    row = await connection.fetchrow(_QUERY)
    return judge(
        fsync=row["fsync"],
        full_page_writes=row["full_page_writes"],
        synchronous_commit=row["synchronous_commit"],
        standbys=row["standbys"],
    )


def judge(
    *, fsync: bool, full_page_writes: bool, synchronous_commit: str, standbys: str
) -> Durability:
    """Returns the durability with these settings; the most dangerous one decides."""
    if not fsync:
        return Durability("a crash of the machine may destroy the database (fsync is off)", True)
    if not full_page_writes:
        return Durability(
            "a crash of the machine may damage the database (full_page_writes is off)", True
        )
    if synchronous_commit == "off":
        return Durability(
            "a crash loses the transactions acknowledged just before it "
            "(synchronous_commit is off)",
            True,
        )
    if not standbys:
        return Durability(
            "an acknowledged transaction survives a crash of PostgreSQL and of its machine; there "
            "is no synchronous standby for the loss of the disk",
            False,
        )
    if synchronous_commit == "local":
        return Durability(
            "an acknowledged transaction survives a crash, but a failover may lose it "
            f"(synchronous_commit is local, standbys: {standbys})",
            True,
        )
    if synchronous_commit == "remote_write":
        return Durability(
            "an acknowledged transaction survives the loss of the primary, unless the standby's "
            "machine fails at the same moment "
            f"(synchronous_commit is remote_write, standbys: {standbys})",
            False,
        )
    return Durability(
        f"an acknowledged transaction survives the loss of the primary (standbys: {standbys})",
        False,
    )
