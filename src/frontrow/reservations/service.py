"""Holds seats, releases them, and reads reservations."""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple
from uuid import UUID

import asyncpg

from frontrow.concerts.model import Show
from frontrow.db.outcomes import check
from frontrow.errors import NotFound, RateLimited
from frontrow.group_commit import Again, Lanes, with_again
from frontrow.ids import PlaceRef, request_hash, write_id
from frontrow.metrics import RATE_LIMITED, count_finished
from frontrow.reservations.hold_watch import HoldWatch
from frontrow.reservations.model import (
    AddressSeats,
    Reservation,
    ReservedSeat,
    UnpaidHolds,
    Wish,
)
from frontrow.reservations.queries import (
    BestHoldItem,
    BestHoldRow,
    HoldItem,
    HoldRow,
    LeaveItem,
    LeaveRow,
    ReleaseItem,
    ReleaseRow,
    ReservationItem,
    queries,
)
from frontrow.reservations.search_starts import SearchStarts

_OPERATION = "reservation"
_EXPIRE_BATCH = 1_000
_ADDRESS_REFUSALS = RATE_LIMITED.labels("unpaid_seats")


class _NamedHold(NamedTuple):
    """A hold and the numbers of its seats."""

    item: HoldItem
    seats: Sequence[int]


class _Leave:
    """A leave; ``sent``: it was sent to the database before, so it may have ended the place."""

    __slots__ = ("place", "sent")

    def __init__(self, place: PlaceRef) -> None:
        self.place = place
        self.sent = False


class Reservations:
    """Holds and releases seats, and reads reservations.

    Args:
        pool: connections to the database.
        lanes: opens a lane for each kind of call.
        currency: the installation's currency.
        unpaid: how many holds a user may leave unpaid.
        address_seats: how many seats may be held unpaid from one network.
        wake: called with a room where a slot is free.
        stopping: set when the server drains; waiting reads are answered at once.
        note: called with the seconds that each hold took.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        lanes: Lanes,
        *,
        currency: str,
        unpaid: UnpaidHolds,
        address_seats: AddressSeats,
        wake: Callable[[int], None] = lambda _: None,
        stopping: asyncio.Event | None = None,
        note: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._currency = currency
        self._unpaid = unpaid
        self._address_seats = address_seats
        self._wake = wake
        self._note = note
        self._stopping = stopping or asyncio.Event()
        self._watch = HoldWatch(self._read, self._stopping)
        self._search_starts = SearchStarts()
        self._holding = lanes.open("hold", self._hold)
        self._holding_best = lanes.open("hold_best", self._hold_best)
        self._releasing = lanes.open("release", self._release)
        self._leaving = lanes.open("leave", self._leave)
        self._reading = lanes.open("reservation_read", self._read)

    async def hold(
        self,
        place: PlaceRef,
        show: Show,
        wanted: Sequence[int] | Wish,
        idempotency_key: str | None,
        network: int | None = None,
    ) -> tuple[Reservation, bool]:
        """Holds seats of one show for an admitted user, all or none.

        Args:
            place: the user's place.
            show: the show.
            wanted: the numbers of the seats, or a request for the best seats.
            idempotency_key: makes a repeated request safe: it returns the seats of the first.
            network: the client's network, if it is known: an IPv4 address as a number, or the first
                64 bits of an IPv6 address as a signed one.

        Returns:
            The reservation as it was created, and whether an earlier request with this key did so.

        Raises:
            SeatTaken, SeatsUnavailable, SeatLimit, ShowClosed, NotFound, NotAllowed: the seats
                can't be held.
            RecentlyReleased: the user released these seats, or let them expire, a moment ago.
            RateLimited: the user left too many holds unpaid, or the network holds too many seats.
            NotAdmitted, TokenFinished, CredentialInvalid: the place may not act.
            IdempotencyKeyReused: the key belongs to another hold.
        """
        if not isinstance(wanted, Wish):
            wanted = sorted(set(wanted))
        reservation_id = write_id(place.user_id, _OPERATION, idempotency_key)
        hold = (
            place.room_id, place.number, place.place_id, place.user_id, place.concert_id,
            reservation_id, request_hash((show.show_id, wanted)), show.show_id,
        )  # fmt: skip
        started = perf_counter()
        row: HoldRow | BestHoldRow
        try:
            if isinstance(wanted, Wish):
                row = await self._holding_best.submit(
                    BestHoldItem(*hold, wanted.count, wanted.section, wanted.together, network)
                )
            else:
                item = HoldItem(*hold, len(wanted), network)
                row = await self._holding.submit(_NamedHold(item, wanted))
        finally:
            self._note(perf_counter() - started)
        if row.outcome == "rate_limited" and row.by_address:
            raise _address_limited(row.retry_after_seconds or 1)
        check(row)
        reservation = Reservation(
            reservation_id,
            show.concert_id,
            show.show_id,
            show.date,
            show.starts_at,
            _seats(row.seats, row.sections, row.prices),
            row.amount,
            self._currency,
            "held",
            row.held_until,
            row.created_at,
            payment_id=None,
        )
        return reservation, row.outcome == "replayed"

    async def release(self, reservation_id: UUID, user_id: UUID, place: PlaceRef | None) -> None:
        """Releases a user's hold; its seats are free at once. A repeated call changes nothing.

        Args:
            reservation_id: the reservation.
            user_id: the user who must own it.
            place: the place of the token that made the call; ``None`` for a user key.

        Raises:
            NotFound: the user has no such reservation.
            ReservationClosed: it is paid.
            NotAllowed: the token is another concert's.
            TokenFinished, CredentialInvalid: the token has ended or is invalid.
        """
        at = (None, None, None) if place is None else (place.room_id, place.number, place.place_id)
        check(await self._releasing.submit(ReleaseItem(reservation_id, user_id, *at)))

    async def leave(self, place: PlaceRef) -> None:
        """Ends a place and releases its holds.

        Raises:
            TokenFinished, CredentialInvalid: the token has ended or is invalid.
        """
        check(await self._leaving.submit(_Leave(place)))
        self._wake(place.room_id)

    async def get(self, reservation_id: UUID, user_id: UUID) -> Reservation:
        """Returns a user's reservation.

        Raises:
            NotFound: the user has no reservation with this id.
        """
        reservation = await self._reading.submit(ReservationItem(reservation_id, user_id))
        if reservation is None:
            raise NotFound
        return reservation

    async def made_with(self, user_id: UUID, idempotency_key: str | None) -> Reservation | None:
        """Returns the reservation that a user made with this key, if any."""
        if idempotency_key is None:
            return None
        reservation_id = write_id(user_id, _OPERATION, idempotency_key)
        return await self._reading.submit(ReservationItem(reservation_id, user_id))

    async def wait(self, reservation_id: UUID, user_id: UUID, seconds: float) -> Reservation:
        """Returns a user's reservation, once it is no longer held or after ``seconds``.

        Raises:
            NotFound: the user has no reservation with this id.
            RateLimited: too many calls of this user wait.
        """
        reservation = await self.get(reservation_id, user_id)
        if reservation.state != "held" or seconds <= 0 or self._stopping.is_set():
            return reservation
        await self._watch.until_ended(ReservationItem(reservation_id, user_id), seconds)
        return await self.get(reservation_id, user_id)

    async def of_user(self, user_id: UUID, limit: int) -> list[Reservation]:
        """Returns the newest of a user's reservations that are held, paid or refunded."""
        ids = await queries.reservations_of_user(self._pool, user_id=user_id, limit=limit)
        found = await self._read([ReservationItem(one, user_id) for one in ids])
        return [reservation for reservation in found if reservation is not None]

    async def expire(self) -> int:
        """Marks a batch of ended holds as expired. Returns their number; safe in every process."""
        return await queries.expire(self._pool, limit=_EXPIRE_BATCH)

    async def _hold(self, holds: Sequence[_NamedHold]) -> list[HoldRow | Again]:
        rows = await queries.hold(
            self._pool,
            [hold.item for hold in holds],
            seats=[number for hold in holds for number in hold.seats],
            address_seats=self._address_seats,
            unpaid_holds=self._unpaid.holds,
            unpaid_seconds=self._unpaid.seconds,
        )
        return with_again(rows)

    async def _hold_best(self, items: Sequence[BestHoldItem]) -> list[BestHoldRow | Again]:
        rows = await queries.hold_best(
            self._pool,
            items,
            search_from=[self._search_starts.get(item) for item in items],
            address_seats=self._address_seats,
            unpaid_holds=self._unpaid.holds,
            unpaid_seconds=self._unpaid.seconds,
        )
        self._search_starts.note(items, rows)
        return with_again(rows)

    async def _release(self, items: Sequence[ReleaseItem]) -> list[ReleaseRow]:
        return await queries.release(self._pool, items)

    async def _leave(self, leaves: Sequence[_Leave]) -> list[LeaveRow]:
        sent_before = [leave.sent for leave in leaves]
        for leave in leaves:
            leave.sent = True
        places = [leave.place for leave in leaves]
        rows = await queries.leave(
            self._pool, [LeaveItem(p.room_id, p.number, p.place_id) for p in places]
        )
        rows = [
            LeaveRow("left", None) if again and row.reason == "left" else row
            for again, row in zip(sent_before, rows, strict=True)
        ]
        left = zip(places, rows, strict=True)
        count_finished((place.concert_id for place, row in left if row.outcome == "left"), "left")
        return rows

    async def _read(self, items: Sequence[ReservationItem]) -> list[Reservation | None]:
        distinct = list(dict.fromkeys(items))
        found = {
            distinct[row.item - 1]: Reservation(
                row.reservation_id,
                row.concert_id,
                row.show_id,
                row.date,
                row.starts_at,
                _seats(row.seats, row.sections, row.prices),
                row.amount,
                self._currency,
                row.state,
                row.held_until,
                row.created_at,
                row.payment_id,
            )
            for row in await queries.reservations(self._pool, distinct)
        }
        return [found.get(item) for item in items]


def _address_limited(retry_after_seconds: int) -> RateLimited:
    """Returns the refusal of more unpaid seats from one network, and counts it."""
    _ADDRESS_REFUSALS.inc()
    return RateLimited(
        "Too many seats are held unpaid from your network. Try again later.",
        retry_after_seconds=retry_after_seconds,
    )


def _seats(
    numbers: Sequence[int], sections: Sequence[str | None], prices: Sequence[int]
) -> list[ReservedSeat]:
    return [ReservedSeat(*seat) for seat in zip(numbers, sections, prices, strict=True)]
