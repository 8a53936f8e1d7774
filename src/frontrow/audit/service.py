"""Runs the audit: each invariant is one query of ``queries.sql``, and all read one snapshot.

A server may continue to sell meanwhile: the snapshot is consistent, and all queries use one time,
read
right after the snapshot was taken. The transaction can't write.
"""

from typing import Any

import asyncpg
import msgspec

from frontrow.audit.queries import CheckRow, checks
from frontrow.db.connect import connect

INVARIANTS = (
    "seat_has_one_holder",
    "hold_belongs_to_a_session",
    "hold_closes_in_time",
    "session_times_agree",
    "amount_is_the_price",
    "sale_closes_its_reservation",
    "sale_has_one_debit",
    "sale_finishes_one_place",
    "sale_gives_its_tickets",
    "refund_gives_back_once",
    "refund_frees_its_seats",
    "ticket_fits_its_sale",
    "cancelled_show_is_settled",
    "balance_is_its_transfers",
    "money_is_kept",
    "numbers_are_gapless",
    "numbers_follow_joining",
    "user_has_one_live_place",
    "admission_follows_order",
    "admission_is_logged_once",
    "draw_follows_its_rule",
    "policy_in_force",
    "cap_is_kept",
    "rate_is_kept",
    "leavers_are_counted",
    "stock_counts_sales",
    "show_has_its_seats",
    "seats_fit_their_sections",
    "erased_user_is_gone",
    "references_exist",
)
"""The names of all invariants, in the order of a report: seats, sales, money, lines, the rest."""

# For this transaction only, so that a server's own connection can be lent for it.
_LOCAL_SETTINGS = {
    "statement_timeout": "1h",
    "idle_in_transaction_session_timeout": "1h",
    # Sorting a line of a million places in memory.
    "work_mem": "128MB",
    "jit": "off",
    # All tables are read whole: a loop over one for each row of another, which old statistics may
    # suggest, would never end.
    "enable_nestloop": "off",
}


class Finding(msgspec.Struct, frozen=True):
    """The result for one invariant.

    Args:
        invariant: its stable name.
        says: the invariant in a sentence.
        checked: the number of rows that it covers.
        violations: the number of rows that violate it.
        examples: up to five of these, described.
    """

    invariant: str
    says: str
    checked: int
    violations: int
    examples: list[str]


async def run(database_url: str, *, connect_timeout_seconds: float = 10) -> list[Finding]:
    """Checks every invariant on a database, in the order of ``INVARIANTS``.

    Raises:
        SetupError: the database can't be reached.
    """
    connection = await connect(
        database_url,
        timeout_seconds=connect_timeout_seconds,
        application_name="frontrow audit",
        timezone="UTC",
        search_path="public",
    )
    try:
        return await audit(connection)
    finally:
        await connection.close()


async def audit(connection: "asyncpg.Connection[Any]") -> list[Finding]:
    """Checks every invariant on a connection that is in no transaction."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for name, value in _LOCAL_SETTINGS.items():
            await connection.execute("SELECT set_config($1, $2, true)", name, value)
        return await _findings(connection)


async def _findings(connection: "asyncpg.Connection[Any]") -> list[Finding]:
    # The transaction has its snapshot by now, so nothing in it is newer.
    now = await connection.fetchval("SELECT clock_timestamp()")
    return [await _check(connection, name, now) for name in INVARIANTS]


async def _check(connection: "asyncpg.Connection[Any]", invariant: str, now: object) -> Finding:
    check = checks[invariant]
    row: CheckRow = await check.run(connection, now=now)
    return Finding(invariant, check.summary, row.checked, row.violations, row.examples)
