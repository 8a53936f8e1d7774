"""Concerts, shows and seats, as they are returned and as an operator creates them."""

from datetime import date, datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta

from frontrow.db.queries import Item
from frontrow.text_rules import EMPTY_OR_VISIBLE_LINE, VISIBLE_LINE, VISIBLE_TEXT

SeatState: TypeAlias = Literal["available", "held", "sold"]
Sale: TypeAlias = Literal["open", "ended", "cancelled"]
Money: TypeAlias = Annotated[
    int,
    Meta(ge=1, le=1_000_000_000, description="Money, in the currency's minor unit."),
]
HoldSeconds: TypeAlias = Annotated[
    int, Meta(ge=1, le=3_600, description="How long a hold lasts, in seconds.")
]
SeatLimit: TypeAlias = Annotated[
    int, Meta(ge=1, le=100, description="Most seats that one user may hold and buy.")
]
RefundableUntil: TypeAlias = (
    Annotated[
        datetime,
        Meta(tz=True, description="Until when users may refund a purchase; null: never."),
    ]
    | None
)
Title: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, pattern=VISIBLE_LINE)]
Description: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=10_000, pattern=VISIBLE_TEXT, description="Lines of text.")
]
PosterUrl: TypeAlias = Annotated[
    str,
    Meta(
        max_length=2_000,
        pattern=r"^https://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+$(?!\n)",
        description="An https URL of a picture.",
    ),
]
AgeLimit: TypeAlias = Annotated[int, Meta(ge=1, le=99, description="The least age, in years.")]
Name: TypeAlias = Annotated[str, Meta(max_length=200, pattern=EMPTY_OR_VISIBLE_LINE)]

LONGEST_RUN_SHOWS = 400
LARGEST_REQUEST_SEATS = 200_000
LARGEST_SHOW_SEATS = 100_000
PLAIN_SHOW_SEATS = 50


Guests: TypeAlias = Annotated[
    bool,
    Meta(
        description="Whether guests may join the line and hold seats. False requires a server with "
        "an OpenID issuer; true if unset."
    ),
]


class Concert(msgspec.Struct, frozen=True):
    """A concert on sale, without its line."""

    concert_id: UUID
    title: str
    artist: str | None
    venue: str | None
    timezone: str
    currency: str
    max_seats_per_user: SeatLimit
    first_date: date | None
    last_date: date | None
    price_from: int | None
    refundable_until: RefundableUntil
    guests: Annotated[bool, Meta(description="Whether guests may join the line and hold seats.")]
    sale: Annotated[
        Sale,
        Meta(description="`open` as long as a show is on sale; `cancelled` if all of them are."),
    ]


class RankedConcert(Concert, frozen=True):
    """A concert and its position in the list."""

    rank: int


class ConcertDetails(Concert, frozen=True):
    """A concert with what its own page has."""

    description: Description | None
    poster_url: PosterUrl | None
    age_limit: AgeLimit | None


class Show(msgspec.Struct, frozen=True):
    """One performance. ``date`` is the venue's calendar day."""

    show_id: UUID
    concert_id: UUID
    date: date
    starts_at: datetime
    sales_end_at: datetime
    seats_total: int
    cancelled_at: datetime | None = None


class ListedShow(msgspec.Struct, frozen=True):
    """A show as a concert lists it."""

    show_id: UUID
    date: date
    starts_at: datetime
    seats_total: int
    seats_available: int
    sale: Annotated[Sale, Meta(description="Whether the show is still on sale.")]


class ShowStock(msgspec.Struct, frozen=True):
    """A show and its free seats."""

    show_id: UUID
    starts_at: datetime
    seats_total: int
    seats_available: int
    sale: Annotated[Sale, Meta(description="Whether the show is still on sale.")]


class DateStock(msgspec.Struct, frozen=True):
    """A day and its shows."""

    date: date
    shows: list[ShowStock]


class Dates(msgspec.Struct, frozen=True):
    """The days on which a concert plays."""

    dates: list[DateStock]


class Seat(msgspec.Struct, frozen=True, gc=False):
    """One seat of a show."""

    number: int
    section: str | None
    price: Annotated[int, Meta(description="In the currency's minor unit.")]
    state: SeatState


class Section(msgspec.Struct, frozen=True):
    """A block of a show's seats, numbered row by row."""

    name: str | None
    price: Annotated[int, Meta(description="The price of a seat, in the currency's minor unit.")]
    first_number: int
    last_number: int
    seats_per_row: int


class SeatMap(msgspec.Struct, frozen=True, kw_only=True):
    """The seats of a show, or the changed ones: as ``seats``, or compact as ``states``."""

    show_id: UUID
    date: date
    starts_at: datetime
    version: str
    complete: bool
    seats_available: int
    sections: list[Section] | msgspec.UnsetType = msgspec.UNSET
    seats: list[Seat] | msgspec.UnsetType = msgspec.UNSET
    numbers: list[int] | msgspec.UnsetType = msgspec.UNSET
    states: str | msgspec.UnsetType = msgspec.UNSET


class Block(Item, frozen=True):
    """The seats of a section, or of a whole plain show, to be created."""

    name: str | None
    price: int
    seats: int
    seats_per_row: int


# Without omitted fields, so that older requests keep their hash.
class NewSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A block of seats at one price; its numbers follow those of the section before, row by row.

    Its size is ``seats``, all in one row, or ``rows`` of ``seats_per_row``, or both if they agree.
    """

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=VISIBLE_LINE)]
    price: Money
    seats: Annotated[int, Meta(ge=1, le=LARGEST_SHOW_SEATS)] | None = None
    rows: Annotated[int, Meta(ge=1, le=LARGEST_SHOW_SEATS)] | None = None
    seats_per_row: Annotated[int, Meta(ge=1, le=LARGEST_SHOW_SEATS)] | None = None

    def __post_init__(self) -> None:
        if (self.rows is None) != (self.seats_per_row is None):
            message = "give rows and seats_per_row together"
            raise ValueError(message)
        if self.rows is None and self.seats is None:
            message = "give seats, or rows and seats_per_row"
            raise ValueError(message)
        if self.seats is not None and self.seats != self.block.seats:
            message = "seats is not rows times seats_per_row"
            raise ValueError(message)

    @property
    def block(self) -> Block:
        """The seats of the section."""
        if self.rows is None or self.seats_per_row is None:
            seats = self.seats or 0
            return Block(self.name, self.price, seats, seats)
        return Block(self.name, self.price, self.rows * self.seats_per_row, self.seats_per_row)


class NewShow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A performance to be created: in sections, or all seats at one ``price``."""

    starts_at: Annotated[datetime, Meta(tz=True)]
    sales_end_at: (
        Annotated[
            datetime, Meta(tz=True, description="End of the sale; the show's start if unset.")
        ]
        | None
    ) = None
    sections: Annotated[list[NewSection], Meta(min_length=1, max_length=200)] | None = None
    price: Money | None = None
    seats: (
        Annotated[
            int, Meta(ge=1, le=LARGEST_SHOW_SEATS, description="The default is 50 at one price.")
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        if (self.sections is None) == (self.price is None):
            message = "give either sections or price"
            raise ValueError(message)
        if self.seats not in {None, self.seats_total}:
            message = "seats is not the sum of the sections"
            raise ValueError(message)
        if self.seats_total > LARGEST_SHOW_SEATS:
            message = f"a show has at most {LARGEST_SHOW_SEATS} seats"
            raise ValueError(message)
        check_years(self.starts_at, self.sales_end_at)

    @property
    def blocks(self) -> list[Block]:
        """The seats, in the order of their numbers."""
        if self.price is None:
            return [section.block for section in self.sections or ()]
        seats = PLAIN_SHOW_SEATS if self.seats is None else self.seats
        return [Block(None, self.price, seats, seats)]

    @property
    def seats_total(self) -> int:
        """The number of seats."""
        return sum(block.seats for block in self.blocks)


class NewShows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shows to be added to a concert."""

    shows: Annotated[list[NewShow], Meta(min_length=1, max_length=LONGEST_RUN_SHOWS)]

    def __post_init__(self) -> None:
        check_size(self.shows)


class NewConcert(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A concert to be created, without its line."""

    title: Title
    artist: Name | None = None
    venue: Name | None = None
    timezone: Annotated[str, Meta(max_length=64)] = "Asia/Seoul"
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "KRW"
    hold_seconds: HoldSeconds = 300
    max_seats_per_user: SeatLimit = 4
    refundable_until: RefundableUntil = None
    # Unset rather than true, so that older requests keep their hash.
    guests: Guests | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType | None = msgspec.UNSET
    poster_url: PosterUrl | msgspec.UnsetType | None = msgspec.UNSET
    age_limit: AgeLimit | msgspec.UnsetType | None = msgspec.UNSET
    shows: Annotated[list[NewShow], Meta(min_length=1, max_length=LONGEST_RUN_SHOWS)]

    def __post_init__(self) -> None:
        check_size(self.shows)
        check_years(self.refundable_until)


class ConcertChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A change of a concert; omitted fields stay."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    hold_seconds: HoldSeconds | msgspec.UnsetType = msgspec.UNSET
    max_seats_per_user: SeatLimit | msgspec.UnsetType = msgspec.UNSET
    refundable_until: RefundableUntil | msgspec.UnsetType = msgspec.UNSET
    guests: Guests | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType | None = msgspec.UNSET
    poster_url: PosterUrl | msgspec.UnsetType | None = msgspec.UNSET
    age_limit: AgeLimit | msgspec.UnsetType | None = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.refundable_until is not msgspec.UNSET:
            check_years(self.refundable_until)


class SaleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of a show's sale; ``None``: at its start."""

    sales_end_at: Annotated[datetime, Meta(tz=True)] | None

    def __post_init__(self) -> None:
        check_years(self.sales_end_at)


class ShowSale(msgspec.Struct, frozen=True):
    """A show and the end of its sale."""

    show_id: UUID
    starts_at: datetime
    sales_end_at: Annotated[datetime, Meta(description="No seat can be held from then on.")]


class CreatedShow(msgspec.Struct, frozen=True):
    """A show that was created."""

    show_id: UUID
    date: date


class CreatedConcert(msgspec.Struct, frozen=True):
    """A concert that was created."""

    concert_id: UUID
    shows: list[CreatedShow]


def check_years(*times: datetime | None) -> None:
    """Limits times to years that can be converted to every time zone.

    Raises:
        ValueError: a time is too early or too late.
    """
    if not all(1970 <= at.year <= 9000 for at in times if at):  # noqa: PLR2004
        message = "times are between the years 1970 and 9000"
        raise ValueError(message)


def check_size(shows: list[NewShow]) -> None:
    """Limits the seats that one request may create.

    Raises:
        ValueError: too many seats.
    """
    if sum(show.seats_total for show in shows) > LARGEST_REQUEST_SEATS:
        message = f"one request creates at most {LARGEST_REQUEST_SEATS} seats"
        raise ValueError(message)
