"""Types of a line's reports: places, the line itself, its draw and its forecasts."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta

from frontrow.errors import FinishReason
from frontrow.waiting_room.settings import LineOrder

PlaceState: TypeAlias = Literal["waiting", "admitted", "finished"]
Sale: TypeAlias = Literal["open", "ended", "cancelled"]
RoomState: TypeAlias = Literal["scheduled", "open", "paused", "sold_out", "closed"]
Sum = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="A SHA-256 sum, hexadecimal.")]
Share = Annotated[float, Meta(ge=0, le=1)]

SALE = "`open` as long as a show is on sale; `cancelled` if all of them are."


class Eta(msgspec.Struct, frozen=True):
    """The forecast of a wait, in seconds from now."""

    p50: Annotated[int, Meta(description="The median: as likely earlier as later, in seconds.")]
    p90: Annotated[int, Meta(description="Not later nine times out of ten, in seconds.")]


class Status(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A place in a line, as its user sees it."""

    user_id: UUID
    concert_id: UUID
    number: Annotated[int, Meta(description="The place's number: in order of joining, gapless.")]
    position: Annotated[
        int | None, Meta(description="The position in serving order; null before a draw.")
    ]
    state: Annotated[PlaceState, Meta(description="waiting → admitted → finished.")]
    ahead: Annotated[int, Meta(description="How many users are admitted before this one.")]
    eta_seconds: Annotated[Eta | None, Meta(description="The forecast; null where there is none.")]
    poll_after_ms: Annotated[int, Meta(description="Poll again after this many milliseconds.")]
    room_state: Annotated[RoomState, Meta(description="The state of the line itself.")]
    sale: Annotated[Sale, Meta(description=SALE)]
    seats_available: Annotated[int, Meta(description="Seats of the concert that are free now.")]
    seats_outnumbered: Annotated[
        bool,
        Meta(description="Whether at least as many users are ahead as seats are free."),
    ]
    issued_at: Annotated[datetime, Meta(description="When the user joined.")]
    admitted_at: Annotated[datetime | None, Meta(description="When the place was admitted.")]
    claimed_at: Annotated[
        datetime | None, Meta(description="When the first admitted call was made.")
    ]
    expires_at: Annotated[
        datetime | None,
        Meta(description="End of the claim window, or of the session once claimed."),
    ]
    reason: Annotated[FinishReason | None, Meta(description="Why a finished place is finished.")]


class IssuedStatus(Status, frozen=True, gc=False, kw_only=True):
    """A status with its token."""

    token: Annotated[str, Meta(description="The queue token: the credential for this line.")]


class QueueDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The public state of a line: one cached answer for any number of readers."""

    concert_id: UUID
    state: Annotated[RoomState, Meta(description="`sold_out` as long as no seat is free.")]
    serving: Annotated[
        int,
        Meta(
            description="The last position admitted. A place at position p has at most "
            "p - serving - 1 users ahead; those of them who left are not subtracted here."
        ),
    ]
    issued: Annotated[int, Meta(description="The last number given.")]
    waiting: Annotated[int, Meta(description="How many users wait.")]
    admitted: Annotated[int, Meta(description="How many are admitted and not finished.")]
    sale: Annotated[Sale, Meta(description=SALE)]
    seats_available: Annotated[int, Meta(description="Seats that are free now.")]
    seats_held: Annotated[
        int, Meta(description="Seats that are held and not paid: they may become free again.")
    ]
    seats_total: int
    seats_outnumbered: Annotated[
        bool, Meta(description="Whether more users wait than seats are free.")
    ]
    order: Annotated[
        LineOrder,
        Meta(description="`draw`: users who joined before `opens_at` are served in drawn order."),
    ]
    opens_at: Annotated[datetime | None, Meta(description="No user is admitted before.")]
    closes_at: Annotated[datetime | None, Meta(description="No user may join from then on.")]
    admitted_per_minute: Annotated[int, Meta(description="Admitted within the last minute.")]
    as_of: Annotated[datetime, Meta(description="The time of this state.")]


class Draw(msgspec.Struct, frozen=True):
    """A draw. Its outcome is null until the line has been drawn."""

    concert_id: UUID
    commitment: Annotated[Sum, Meta(description="Of the seed; public since committed_at.")]
    committed_at: Annotated[datetime, Meta(description="When the draw was set up.")]
    opens_at: Annotated[datetime | None, Meta(description="When it is drawn.")]
    drawn_at: datetime | None
    entrants: Annotated[int | None, Meta(description="The numbers 1 to this were drawn.")]
    digest: Annotated[Sum | None, Meta(description="Of all entries.")]
    seed: Annotated[str | None, Meta(description="The secret that was committed to.")]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entrant of a draw, without the user."""

    number: int
    entry: Annotated[Sum, Meta(description="Of the place's id: the jti of its token.")]
    position: Annotated[int, Meta(description="The drawn position in serving order.")]


class Entries(msgspec.Struct, frozen=True):
    """A page of entrants, by number."""

    entries: list[Entry]
    next: Annotated[int | None, Meta(description="The `after` of the next page.")]


class ForecastQuality(msgspec.Struct, frozen=True):
    """The quality of the forecasts: an even sample over the line, compared with the waits."""

    judged: Annotated[int, Meta(description="Forecasts whose place has been admitted since.")]
    below_p50: Annotated[
        Share | None, Meta(description="The share of the waits that were not longer than p50.")
    ]
    below_p90: Annotated[
        Share | None, Meta(description="The share of the waits that were not longer than p90.")
    ]
    median_error_seconds: Annotated[
        float | None, Meta(description="The median difference between the wait and p50.")
    ]
