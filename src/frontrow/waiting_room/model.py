"""What a line tells: the status of one place."""

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

SALE = "`open` as long as a show is sold; `cancelled` where all of them are."


class Eta(msgspec.Struct, frozen=True):
    """The forecast of a wait, in seconds from now."""

    p50: Annotated[int, Meta(description="As likely earlier as later, in seconds.")]
    p90: Annotated[int, Meta(description="Nine times out of ten not later, in seconds.")]


class Status(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A place in a line, as its owner sees it."""

    user_id: UUID
    concert_id: UUID
    number: Annotated[int, Meta(description="The place's number: in order of joining, gapless.")]
    position: Annotated[
        int | None, Meta(description="The place in serving order; null before a draw.")
    ]
    state: Annotated[PlaceState, Meta(description="waiting → admitted → finished.")]
    ahead: Annotated[int, Meta(description="How many people are called before this one.")]
    eta_seconds: Annotated[Eta | None, Meta(description="The forecast; null where there is none.")]
    poll_after_ms: Annotated[int, Meta(description="Ask again after this many milliseconds.")]
    room_state: Annotated[RoomState, Meta(description="How the line itself stands.")]
    sale: Annotated[Sale, Meta(description=SALE)]
    seats_available: Annotated[int, Meta(description="Seats of the concert that are free now.")]
    seats_outnumbered: Annotated[
        bool,
        Meta(description="Those ahead are as many as the seats that are free, or more."),
    ]
    issued_at: Annotated[datetime, Meta(description="When the place was taken.")]
    admitted_at: Annotated[datetime | None, Meta(description="When the line called this place.")]
    claimed_at: Annotated[
        datetime | None, Meta(description="When the first admitted call was made.")
    ]
    expires_at: Annotated[
        datetime | None,
        Meta(description="End of the claim window, or of the session once claimed."),
    ]
    reason: Annotated[FinishReason | None, Meta(description="Why a finished place is finished.")]


class IssuedStatus(Status, frozen=True, gc=False, kw_only=True):
    """A status with the token that follows it."""

    token: Annotated[str, Meta(description="The queue token: the credential for this line.")]


class QueueDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A line, as everybody may see it: one cached answer for any number of people."""

    concert_id: UUID
    state: Annotated[RoomState, Meta(description="`sold_out` as long as no seat is free.")]
    serving: Annotated[
        int,
        Meta(
            description="The last position called. Who has the position p has at most "
            "p - serving - 1 people ahead; those among them who left aren't known here."
        ),
    ]
    issued: Annotated[int, Meta(description="The last number given.")]
    waiting: Annotated[int, Meta(description="How many wait.")]
    admitted: Annotated[int, Meta(description="How many are called and not finished.")]
    sale: Annotated[Sale, Meta(description=SALE)]
    seats_available: Annotated[int, Meta(description="Seats that are free now.")]
    seats_held: Annotated[
        int, Meta(description="Seats that are held and not paid: they may come back.")
    ]
    seats_total: int
    seats_outnumbered: Annotated[
        bool, Meta(description="Those who wait are more than the seats that are free.")
    ]
    order: Annotated[
        LineOrder,
        Meta(description="`draw`: who comes before `opens_at` is served in the order of a draw."),
    ]
    opens_at: Annotated[datetime | None, Meta(description="Nobody is called before.")]
    closes_at: Annotated[datetime | None, Meta(description="Nobody may join from then on.")]
    admitted_per_minute: Annotated[int, Meta(description="Called within the last minute.")]
    as_of: Annotated[datetime, Meta(description="When this was so.")]
