"""Holds seats, releases them, follows them."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple
from uuid import UUID

import asyncpg

from frontrow.concerts.model import Show
from frontrow.db.queries import load
from frontrow.errors import NotFound, outcome_error
from frontrow.group_commit import AGAIN, Again, Lanes
from frontrow.ids import PlaceRef, place_arrays, request_hash, write_id
from frontrow.metrics import count_finished
from frontrow.reservations.model import Reservation, ReservedSeat
from frontrow.reservations.outcomes import OPERATION, UnpaidHolds, made, refusal

_queries = load("frontrow.reservations")

_EXPIRE_BATCH = 1_000
_WATCH_SECONDS = 0.25


class _Hold(NamedTuple):
    place: PlaceRef
    reservation_id: UUID
    request_hash: int
    show_id: UUID
    seats: Sequence[int]


class _Release(NamedTuple):
    reservation_id: UUID
    user_id: UUID
    place: PlaceRef | None


class _Leave:
    """A leave on its way. One that was sent before may be what ended the place."""

    __slots__ = ("place", "sent")

    def __init__(self, place: PlaceRef) -> None:
        self.place = place
        self.sent = False


class Reservations:
    """Where seats are held.

    Args:
        unpaid: how many holds a user may let go.
        wake: told the room where a slot has come free.
        stopping: set when the server drains; those who wait are answered at once.
        note: told how long each hold took, in seconds.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        lanes: Lanes,
        *,
        currency: str,
        unpaid: UnpaidHolds,
        wake: Callable[[int], None] = lambda _: None,
        stopping: asyncio.Event | None = None,
        note: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._currency = currency
        self._unpaid = unpaid
        self._wake = wake
        self._note = note
        self._stopping = stopping or asyncio.Event()
        self._holding = lanes.open("hold", self._hold)
        self._releasing = lanes.open("release", self._release)
        self._leaving = lanes.open("leave", self._leave)
        self._reading = lanes.open("reservation_read", self._read)

    async def hold(
        self, place: PlaceRef, show: Show, seats: Sequence[int], idempotency_key: str | None
    ) -> tuple[Reservation, bool]:
        """Holds seats of one show for an admitted user, all or nothing.

        Args:
            place: whose.
            show: of which show.
            seats: their numbers, each once.
            idempotency_key: makes asking again safe.

        Returns:
            The reservation as it was made, and whether it had been made before with this key.

        Raises:
            SeatTaken, SeatLimit, ShowClosed, NotFound, NotAllowed: the seats can't be had.
            RateLimited: the user let too many holds go.
            NotAdmitted, TokenFinished, CredentialInvalid: the place may not act.
            IdempotencyKeyReused: the key made another reservation.
        """
        wanted = sorted(set(seats))
        ask = _Hold(
            place,
            write_id(place.user_id, OPERATION, idempotency_key),
            request_hash((show.show_id, wanted)),
            show.show_id,
            wanted,
        )
        started = perf_counter()
        try:
            row = await self._holding.submit(ask)
        finally:
            self._note(perf_counter() - started)
        if row["outcome"] not in ("held", "replayed"):
            raise refusal(row)
        return made(ask.reservation_id, show, wanted, row, currency=self._currency)

    async def release(self, reservation_id: UUID, user_id: UUID, place: PlaceRef | None) -> None:
        """Releases a user's hold; its seats are free at once. Doing it twice is fine.

        Args:
            reservation_id: which.
            user_id: whose.
            place: the place whose token asked; ``None`` for the user's key.

        Raises:
            NotFound: the user has no such reservation.
            ReservationClosed: it is paid.
            NotAllowed: the token is another concert's.
            TokenFinished, CredentialInvalid: the token doesn't live.
        """
        row = await self._releasing.submit(_Release(reservation_id, user_id, place))
        if row["outcome"] != "released":
            raise refusal(row)

    async def leave(self, place: PlaceRef) -> None:
        """Takes a place out of the line and lets its holds go.

        Raises:
            TokenFinished, CredentialInvalid: the token doesn't live.
        """
        outcome, reason = await self._leaving.submit(_Leave(place))
        if outcome != "left":
            raise outcome_error(outcome, reason)
        self._wake(place.room_id)

    async def get(self, reservation_id: UUID, user_id: UUID) -> Reservation:
        """A user's reservation.

        Raises:
            NotFound: the user has none with this id.
        """
        reservation = await self._reading.submit((reservation_id, user_id))
        if reservation is None:
            raise NotFound
        return reservation

    async def made_with(self, user_id: UUID, idempotency_key: str | None) -> Reservation | None:
        """The reservation that a user made with this key, if any."""
        if idempotency_key is None:
            return None
        reservation_id = write_id(user_id, OPERATION, idempotency_key)
        return await self._reading.submit((reservation_id, user_id))

    async def wait(self, reservation_id: UUID, user_id: UUID, seconds: float) -> Reservation:
        """A user's reservation, once it is no longer held, or after ``seconds``.

        Raises:
            NotFound: the user has none with this id.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            reservation = await self.get(reservation_id, user_id)
            left = until - loop.time()
            if reservation.state != "held" or left <= 0 or self._stopping.is_set():
                return reservation
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(left, _WATCH_SECONDS))

    async def of_user(self, user_id: UUID, limit: int) -> list[Reservation]:
        """The newest of a user's reservations that are held, paid or refunded."""
        rows = await _queries.reservations_of_user(self._pool, user_id=user_id, limit=limit)
        found = await self._read([(row["reservation_id"], user_id) for row in rows])
        return [reservation for reservation in found if reservation is not None]

    async def expire(self) -> int:
        """Writes down which holds have ended, a batch of them. Safe in every process."""
        ended: int = await _queries.expire(self._pool, limit=_EXPIRE_BATCH)
        return ended

    async def _hold(self, asks: Sequence[_Hold]) -> list[asyncpg.Record | Again]:
        firsts: list[int] = []
        lasts: list[int] = []
        seats: list[int] = []
        for ask in asks:
            firsts.append(len(seats) + 1)
            seats.extend(ask.seats)
            lasts.append(len(seats))
        rows = await _queries.hold(
            self._pool,
            **place_arrays([ask.place for ask in asks]),
            user_ids=[ask.place.user_id for ask in asks],
            concert_ids=[ask.place.concert_id for ask in asks],
            reservation_ids=[ask.reservation_id for ask in asks],
            request_hashes=[ask.request_hash for ask in asks],
            show_ids=[ask.show_id for ask in asks],
            firsts=firsts,
            lasts=lasts,
            seats=seats,
            unpaid_holds=self._unpaid.holds,
            unpaid_holds_seconds=self._unpaid.seconds,
        )
        return [AGAIN if row["outcome"] == "again" else row for row in rows]

    async def _release(self, asks: Sequence[_Release]) -> list[asyncpg.Record]:
        places = [ask.place for ask in asks]
        rows: list[asyncpg.Record] = await _queries.release(
            self._pool,
            reservation_ids=[ask.reservation_id for ask in asks],
            user_ids=[ask.user_id for ask in asks],
            room_ids=[place and place.room_id for place in places],
            numbers=[place and place.number for place in places],
            place_ids=[place and place.place_id for place in places],
        )
        return rows

    async def _leave(self, asks: "Sequence[_Leave]") -> list[tuple[str, str | None]]:
        sent_before = [ask.sent for ask in asks]
        for ask in asks:
            ask.sent = True
        rows = await _queries.leave(self._pool, **place_arrays([ask.place for ask in asks]))
        outcomes = [
            ("left", None) if again and row["reason"] == "left" else (row["outcome"], row["reason"])
            for again, row in zip(sent_before, rows, strict=True)
        ]
        left = zip(asks, outcomes, strict=True)
        count_finished((ask.place.concert_id for ask, (how, _) in left if how == "left"), "left")
        return outcomes

    async def _read(self, wanted: Sequence[tuple[UUID, UUID]]) -> list[Reservation | None]:
        distinct = list(dict.fromkeys(wanted))
        reservation_ids, user_ids = zip(*distinct, strict=True) if distinct else ((), ())
        rows = await _queries.reservations(
            self._pool, reservation_ids=reservation_ids, user_ids=user_ids
        )
        found = dict(zip(distinct, (self._reservation(row) for row in rows), strict=True))
        return [found[key] for key in wanted]

    def _reservation(self, row: asyncpg.Record) -> Reservation | None:
        if row["reservation_id"] is None:
            return None
        return Reservation(
            reservation_id=row["reservation_id"],
            concert_id=row["concert_id"],
            show_id=row["show_id"],
            date=row["date"],
            starts_at=row["starts_at"],
            seats=[
                ReservedSeat(*s)
                for s in zip(row["seats"], row["sections"], row["prices"], strict=True)
            ],
            amount=row["amount"],
            currency=self._currency,
            state=row["state"],
            held_until=row["held_until"],
            created_at=row["created_at"],
            payment_id=row["payment_id"],
        )
