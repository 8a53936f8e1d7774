"""Holds the best seats that are free: the caller says how many and where, the database which."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from frontrow.concerts.model import Show
from frontrow.db.queries import load
from frontrow.group_commit import AGAIN, Again, Lanes
from frontrow.ids import PlaceRef, place_arrays, request_hash, write_id
from frontrow.reservations.model import Reservation
from frontrow.reservations.outcomes import OPERATION, UnpaidHolds, made, refusal

_queries = load("frontrow.reservations")


class Wish(msgspec.Struct, frozen=True):
    """How many seats, in which section (``None``: anywhere), and whether only side by side."""

    count: int
    section: str | None = None
    together: bool = True


class _Ask(NamedTuple):
    place: PlaceRef
    reservation_id: UUID
    request_hash: int
    show_id: UUID
    wish: Wish


class BestSeats:
    """Holds the best seats of a show or of a section of it (docs/design/adr/0012-best-seats.md).

    Args:
        unpaid: how many holds a user may let go.
        note: told how long each hold took, in seconds.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        lanes: Lanes,
        *,
        currency: str,
        unpaid: UnpaidHolds,
        note: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._currency = currency
        self._unpaid = unpaid
        self._note = note
        self._holding = lanes.open("hold_best", self._hold)

    async def hold(
        self, place: PlaceRef, show: Show, wish: Wish, idempotency_key: str | None
    ) -> tuple[Reservation, bool]:
        """Holds the best seats that are free for an admitted user, all or nothing.

        Args:
            place: whose.
            show: of which show.
            wish: how many, where.
            idempotency_key: makes asking again safe: it gives the same seats.

        Returns:
            The reservation as it was made, and whether it had been made before with this key.

        Raises:
            SeatsUnavailable, SeatLimit, ShowClosed, NotFound, NotAllowed: no seats can be had.
            RateLimited: the user let too many holds go.
            NotAdmitted, TokenFinished, CredentialInvalid: the place may not act.
            IdempotencyKeyReused: the key made another reservation.
        """
        ask = _Ask(
            place,
            write_id(place.user_id, OPERATION, idempotency_key),
            request_hash((show.show_id, wish)),
            show.show_id,
            wish,
        )
        started = perf_counter()
        try:
            row = await self._holding.submit(ask)
        finally:
            self._note(perf_counter() - started)
        if row["outcome"] not in ("held", "replayed"):
            raise refusal(row)
        return made(ask.reservation_id, show, row["seats"], row, currency=self._currency)

    async def _hold(self, asks: Sequence[_Ask]) -> list[asyncpg.Record | Again]:
        rows = await _queries.hold_best(
            self._pool,
            **place_arrays([ask.place for ask in asks]),
            user_ids=[ask.place.user_id for ask in asks],
            concert_ids=[ask.place.concert_id for ask in asks],
            reservation_ids=[ask.reservation_id for ask in asks],
            request_hashes=[ask.request_hash for ask in asks],
            show_ids=[ask.show_id for ask in asks],
            sections=[ask.wish.section for ask in asks],
            counts=[ask.wish.count for ask in asks],
            together=[ask.wish.together for ask in asks],
            unpaid_holds=self._unpaid.holds,
            unpaid_holds_seconds=self._unpaid.seconds,
        )
        return [AGAIN if row["outcome"] == "again" else row for row in rows]
