"""Databases that are shared by tests or runs, because they take long to fill; emptied between."""

from tests.buyers import Owner

# Tables with the rows of buyers and lines; what every process needs stays.
_EMPTY = """
TRUNCATE ticket, payment, reservation, seat, seat_change, stock, sold_delta, transfer, wallet,
    forecast, line_pace, room_load, drawn, draw, admission, policy_change, place, waiting_room,
    cancellation, show_section, show, concert, app_user, erasure, user_key CASCADE
"""


async def empty(owner: Owner) -> None:
    """Empties a database for the next run."""
    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(_EMPTY)
