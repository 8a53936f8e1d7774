"""The application: ``TEXTBOOK_DATABASE_URL`` and ``TEXTBOOK_REDIS_URL`` name its stores."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Header, HTTPException
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker

from benchmarks.peers.textbook.line import Line, Place
from benchmarks.peers.textbook.messages import (
    HoldRequest,
    Joined,
    JoinRequest,
    PaymentOut,
    PayRequest,
    ReservationOut,
    SeatMap,
    SeatOut,
    Status,
)
from benchmarks.peers.textbook.tables import (
    HOLD_TIME,
    Payment,
    Reservation,
    Seat,
    Show,
    Transfer,
    User,
    Wallet,
    open_engine,
)

MAX_ADMITTED = 100
ADMISSION_SECONDS = 1.0
BEARER = "Bearer "

engine = open_engine(os.environ["TEXTBOOK_DATABASE_URL"])
# Reads are one statement each: without BEGIN and ROLLBACK they are one round trip.
reading = async_sessionmaker(engine.execution_options(isolation_level="AUTOCOMMIT"))
writing = async_sessionmaker(engine, expire_on_commit=False)
redis = Redis.from_url(os.environ["TEXTBOOK_REDIS_URL"])
line = Line(redis)


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    admission = asyncio.create_task(_admit_users())
    yield
    admission.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await admission
    await redis.aclose()
    await engine.dispose()


async def _admit_users() -> None:
    while True:
        async with reading() as session:
            concerts = await session.scalars(select(Show.concert_id).distinct())
        for concert_id in concerts:
            await line.admit(concert_id, MAX_ADMITTED)
        await asyncio.sleep(ADMISSION_SECONDS)


app = FastAPI(lifespan=_lifespan)


async def bearer(authorization: Annotated[str, Header()] = "") -> str:
    """Returns the credential of a request."""
    if not authorization.startswith(BEARER):
        raise HTTPException(401, "credential_missing")
    return authorization.removeprefix(BEARER)


async def user_of_key(key: Annotated[str, Depends(bearer)]) -> UUID:
    """Returns the user of a user key."""
    key_hash = hashlib.sha256(key.encode()).digest()
    async with reading() as session:
        user_id: UUID | None = await session.scalar(
            select(User.user_id).where(User.key_hash == key_hash)
        )
    if user_id is None:
        raise HTTPException(401, "credential_invalid")
    return user_id


async def place_of_token(token: Annotated[str, Depends(bearer)]) -> Place:
    """Returns the place of a token."""
    place = await line.find(token)
    if place is None:
        raise HTTPException(401, "credential_invalid")
    return place


async def admitted_place(place: Annotated[Place, Depends(place_of_token)]) -> Place:
    """Returns the place of an admitted token."""
    if not place.admitted:
        raise HTTPException(403, "not_admitted")
    return place


Admitted = Annotated[Place, Depends(admitted_place)]


def _status(place: Place) -> dict[str, object]:
    return {
        "user_id": place.user_id,
        "concert_id": place.concert_id,
        "state": "admitted" if place.admitted else "waiting",
        "position": None if place.ahead is None else place.ahead + 1,
        "ahead": place.ahead or 0,
    }


@app.post("/queue/tokens", status_code=201)
async def join(wanted: JoinRequest, user_id: Annotated[UUID, Depends(user_of_key)]) -> Joined:
    """Gives a user a place in a line."""
    place = await line.join(wanted.concert_id, user_id)
    return Joined(token=place.token, **_status(place))


@app.get("/queue/tokens/me")
async def poll(place: Annotated[Place, Depends(place_of_token)]) -> Status:
    """Returns the status of a place."""
    return Status(**_status(place))


@app.get("/shows/{show_id}/seats")
async def seats(show_id: UUID, _: Admitted) -> SeatMap:
    """Returns the seats of a show."""
    async with reading() as session:
        rows = await session.execute(
            select(Seat.number, Seat.section, Seat.price, Seat.reservation_id, Seat.held_until)
            .where(Seat.show_id == show_id)
            .order_by(Seat.number)
        )
    now = datetime.now(UTC)
    found = [
        SeatOut(number=number, section=section, price=price, state=_state(holder, until, now))
        for number, section, price, holder, until in rows
    ]
    available = sum(seat.state == "available" for seat in found)
    return SeatMap(show_id=show_id, seats_available=available, seats=found)


def _state(reservation_id: UUID | None, held_until: datetime | None, now: datetime) -> str:
    if reservation_id is None or (held_until is not None and held_until <= now):
        return "available"
    return "sold" if held_until is None else "held"


@app.post("/reservations", status_code=201)
async def hold(wanted: HoldRequest, place: Admitted) -> ReservationOut:
    """Holds seats: locks their rows, then decides."""
    async with writing.begin() as session:
        rows = await session.scalars(
            select(Seat)
            .where(Seat.show_id == wanted.show_id, Seat.number.in_(wanted.seats))
            .order_by(Seat.number)
            .with_for_update()
        )
        locked = rows.all()
        if not locked or len(locked) != len(wanted.seats):
            raise HTTPException(404, "not_found")
        now = datetime.now(UTC)
        if any(_state(s.reservation_id, s.held_until, now) != "available" for s in locked):
            raise HTTPException(409, "seat_taken")
        reservation = Reservation(
            user_id=place.user_id,
            show_id=wanted.show_id,
            seats=[seat.number for seat in locked],
            amount=sum(seat.price for seat in locked),
            state="held",
            held_until=now + HOLD_TIME,
            created_at=now,
        )
        session.add(reservation)
        await session.flush()
        for seat in locked:
            seat.reservation_id = reservation.reservation_id
            seat.held_until = reservation.held_until
    return ReservationOut.model_validate(reservation, from_attributes=True)


@app.post("/payments", status_code=201)
async def pay(wanted: PayRequest, place: Admitted) -> PaymentOut:
    """Pays a held reservation: locks it, its seats and the wallet, then decides."""
    async with writing.begin() as session:
        reservation = await session.get(Reservation, wanted.reservation_id, with_for_update=True)
        if reservation is None or reservation.user_id != place.user_id:
            raise HTTPException(404, "not_found")
        rows = await session.scalars(
            select(Seat)
            .where(Seat.show_id == reservation.show_id, Seat.number.in_(reservation.seats))
            .order_by(Seat.number)
            .with_for_update()
        )
        locked = rows.all()
        wallet = await session.get(Wallet, place.user_id, with_for_update=True)
        now = datetime.now(UTC)
        if reservation.state != "held":
            raise HTTPException(409, "reservation_closed")
        if reservation.held_until <= now or any(
            seat.reservation_id != reservation.reservation_id for seat in locked
        ):
            raise HTTPException(410, "hold_expired")
        if wanted.amount != reservation.amount:
            raise HTTPException(422, "amount_mismatch")
        if wallet is None or wallet.balance < wanted.amount:
            raise HTTPException(402, "insufficient_balance")
        wallet.balance -= wanted.amount
        reservation.state = "paid"
        for seat in locked:
            seat.held_until = None
        payment = Payment(
            reservation_id=reservation.reservation_id,
            user_id=place.user_id,
            amount=wanted.amount,
            paid_at=now,
        )
        transfer = Transfer(
            user_id=place.user_id, amount=wanted.amount, balance=wallet.balance, created_at=now
        )
        session.add_all([payment, transfer])
    await line.finish(place)
    return PaymentOut(
        payment_id=payment.payment_id,
        reservation_id=payment.reservation_id,
        amount=payment.amount,
        balance=wallet.balance,
        paid_at=now,
    )
