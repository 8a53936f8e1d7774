"""Verifies a draw from its public documents: ``frontrow verify-draw``.

A wrong document fails a check (``checks``); one that can't be fetched or decoded is a
``SetupError`` (``server``).
"""

from collections.abc import Callable
from uuid import UUID

from frontrow.errors import SetupError
from frontrow.verification.checks import PAGE_ENTRANTS, Check, Report, check
from frontrow.verification.place import Own, read_token
from frontrow.verification.server import Server, draw_address
from frontrow.waiting_room.model import Draw, Entries

__all__ = ["Check", "Own", "Report", "check", "draw_address", "read_token", "verify"]


def verify(
    address: str,
    concert_id: UUID,
    *,
    commitment: str | None,
    own: Own | None,
    fetched: Callable[[int, int], None],
) -> Report:
    """Fetches a draw and checks it.

    Args:
        address: URL of the draw.
        concert_id: the concert that it must belong to.
        commitment: the commitment noted before opening.
        own: a place that must be in it.
        fetched: called with the number of entries fetched so far, and of all entries.

    Raises:
        SetupError: a document can't be fetched or decoded.
    """
    with Server(address) as server:
        draw = server.get("", Draw)
        if draw.concert_id != concert_id:
            raise SetupError(f"{address} shows the draw of another concert")

        def page(after: int) -> Entries:
            fetched(after, draw.entrants or 0)
            return server.get(f"/entries?after={after}&limit={PAGE_ENTRANTS}", Entries)

        try:
            return check(draw, page, commitment=commitment, own=own)
        except ValueError as error:
            raise SetupError(f"{address} shows no draw: {error}") from None
