"""The tables, and the engine with its pool of connections."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Identity, Integer
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

POOL = 16
HOLD_TIME = timedelta(minutes=5)


class Base(DeclarativeBase):
    """Times have a zone, and integers are wide enough for money."""

    type_annotation_map = {datetime: TIMESTAMP(timezone=True), int: BigInteger}  # noqa: RUF012


class User(Base):
    """A user, who is known by a key of which only the hash is stored."""

    __tablename__ = "users"

    user_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    key_hash: Mapped[bytes] = mapped_column(unique=True)


class Wallet(Base):
    """A prepaid balance."""

    __tablename__ = "wallets"
    __table_args__ = (CheckConstraint("balance >= 0"),)

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Show(Base):
    """One performance of a concert."""

    __tablename__ = "shows"

    show_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    concert_id: Mapped[UUID] = mapped_column(index=True)
    starts_at: Mapped[datetime]


class Seat(Base):
    """A seat: free, held until a time, or sold (it has a reservation and no time)."""

    __tablename__ = "seats"

    show_id: Mapped[UUID] = mapped_column(ForeignKey("shows.show_id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    price: Mapped[int]
    section: Mapped[str | None]
    reservation_id: Mapped[UUID | None]
    held_until: Mapped[datetime | None]


class Reservation(Base):
    """The seats that a user holds or has bought."""

    __tablename__ = "reservations"

    reservation_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(index=True)
    show_id: Mapped[UUID] = mapped_column(ForeignKey("shows.show_id"))
    seats: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    amount: Mapped[int]
    state: Mapped[str]
    held_until: Mapped[datetime]
    created_at: Mapped[datetime]


class Payment(Base):
    """A paid reservation."""

    __tablename__ = "payments"

    payment_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    reservation_id: Mapped[UUID] = mapped_column(
        ForeignKey("reservations.reservation_id"), unique=True
    )
    user_id: Mapped[UUID] = mapped_column(index=True)
    amount: Mapped[int]
    paid_at: Mapped[datetime]


class Transfer(Base):
    """A change of a balance."""

    __tablename__ = "transfers"

    transfer_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(index=True)
    amount: Mapped[int]
    balance: Mapped[int]
    created_at: Mapped[datetime]


def open_engine(database_url: str) -> AsyncEngine:
    """Returns an engine; asyncpg reads the URL, as it does for Frontrow."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(database_url, server_settings={"jit": "off"})

    engine: AsyncEngine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_size=POOL, max_overflow=0
    )
    return engine
