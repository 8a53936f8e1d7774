"""A draw checked from outside, by what its server shows to everybody: ``frontrow verify-draw``.

What the server shows wrong is a check that fails (``checks``); what can't be fetched, or is no such
document, is a ``SetupError`` (``server``).
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
        address: the draw's.
        concert_id: whose it has to be.
        commitment: what was noted before opening.
        own: a place that has to be in it.
        fetched: told how many entries there are so far, and how many there will be.

    Raises:
        SetupError: something can't be fetched, or is no such document.
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
