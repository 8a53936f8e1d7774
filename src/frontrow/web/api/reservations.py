"""Calls about reservations."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.concerts.model import TEXT, Show
from frontrow.errors import (
    NotAllowed,
    NotFound,
    ReservationClosed,
    SeatLimit,
    SeatsUnavailable,
    SeatTaken,
    ShowAmbiguous,
    ShowClosed,
    TokenFinished,
)
from frontrow.reservations.best import Wish
from frontrow.reservations.model import Reservation
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, no_content, ok
from frontrow.web.openapi.examples import DATE, SEATS

SeatNumber = Annotated[int, Meta(ge=1, le=2**31 - 1, description="The number of a seat.")]


class NewReservation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which seats to hold, of the one show of a date or of a show: these, or the best there are."""

    date: dt.date | None = None
    show_id: UUID | None = None
    seats: (
        Annotated[
            list[SeatNumber], Meta(min_length=1, max_length=100, description="Each number once.")
        ]
        | None
    ) = None
    count: (
        Annotated[
            int, Meta(ge=1, le=100, description="How many of the best seats, in place of seats.")
        ]
        | None
    ) = None
    section: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=100,
                pattern=TEXT,
                description="Where the best seats are to be; anywhere in the show if unset.",
            ),
        ]
        | None
    ) = None
    together: (
        Annotated[
            bool,
            Meta(
                description="Whether the best seats must be side by side in one row; true if unset."
                " With false they are too where they can be."
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        if self.date is None and self.show_id is None:
            raise ValueError("give a date or a show_id")
        if (self.seats is None) == (self.count is None):
            raise ValueError("give either seats or count")
        if self.seats is None:
            return
        if self.section is not None or self.together is not None:
            raise ValueError("section and together go with count")
        if len(set(self.seats)) < len(self.seats):
            raise ValueError("a seat is named twice")


class WaitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait for the hold to end."""

    wait_seconds: Annotated[
        float,
        Meta(ge=0, le=30, description="Answer once it is no longer held, or after this time."),
    ] = 0


async def hold(ask: Ask) -> Response:
    """Holds seats."""
    wanted, services, place, key = ask.body, ask.services, ask.queue_token, ask.idempotency_key
    show = await _show(ask)
    if wanted.seats is not None:
        reservation, replayed = await services.reservations.hold(place, show, wanted.seats, key)
    else:
        wish = Wish(wanted.count, wanted.section, wanted.together is not False)
        reservation, replayed = await services.best_seats.hold(place, show, wish, key)
    return created(reservation, replayed=replayed)


async def _show(ask: Ask) -> Show:
    """The show that a hold is for; who may not ask at all is told that first."""
    place, wanted, services = ask.queue_token, ask.body, ask.services
    try:
        return await services.catalogue.show(place.concert_id, wanted.date, wanted.show_id)
    except ShowAmbiguous:
        # The date may have had one show only when this was asked for the first time.
        made = await services.reservations.made_with(place.user_id, ask.idempotency_key)
        if made is None or made.date != wanted.date:
            await services.rooms.enter(place)
            raise
        return await services.catalogue.show(place.concert_id, None, made.show_id)
    except NotFound:
        await services.rooms.enter(place)
        if wanted.show_id is not None:
            concert_id = await services.catalogue.concert_of(wanted.show_id)
            if concert_id not in (None, place.concert_id):
                raise NotAllowed from None
        raise


async def get(ask: Ask) -> Response:
    """Shows a reservation."""
    seconds = ask.query.wait_seconds if ask.query is not None else 0
    services, reservation_id = ask.services, ask.params["reservation_id"]
    if ask.place is not None:
        await services.rooms.check_live(ask.place)
        first = await services.reservations.get(reservation_id, ask.user_id)
        if first.concert_id != ask.place.concert_id:
            raise NotAllowed
    return ok(await services.reservations.wait(reservation_id, ask.user_id, seconds))


async def release(ask: Ask) -> Response:
    """Releases a hold."""
    await ask.services.reservations.release(ask.params["reservation_id"], ask.user_id, ask.place)
    return no_content()


CALLS = (
    Call(
        method="POST",
        path="/reservations",
        name="hold",
        group="Reservations",
        summary="Hold seats",
        says=(
            "Those that are named, or so many of the best that are free: front rows first, near "
            "the middle, side by side. All of them or none. The hold lasts about five minutes, "
            "paid or not, and the session lasts as long as it."
        ),
        who=Who.ADMITTED,
        body=NewReservation,
        example={"date": DATE, "seats": SEATS},
        idempotent=True,
        answers=(Answer(201, "The seats are held.", Reservation),),
        refusals=(
            NotFound,
            NotAllowed,
            SeatTaken,
            SeatsUnavailable,
            SeatLimit,
            ShowAmbiguous,
            ShowClosed,
        ),
        handler=hold,
    ),
    Call(
        method="GET",
        path="/reservations/{reservation_id}",
        name="reservation",
        group="Reservations",
        summary="Show a reservation, or wait for its hold to end",
        who=Who.USER_OR_TOKEN,
        params={"reservation_id": UUID},
        query=WaitQuery,
        answers=(Answer(200, "The reservation.", Reservation),),
        refusals=(NotFound, NotAllowed, TokenFinished),
        handler=get,
    ),
    Call(
        method="DELETE",
        path="/reservations/{reservation_id}",
        name="release",
        group="Reservations",
        summary="Release a hold",
        says="The seats are free at once. Releasing a released or expired hold is fine.",
        who=Who.USER_OR_TOKEN,
        params={"reservation_id": UUID},
        answers=(Answer(204, "The hold is over."),),
        refusals=(NotFound, NotAllowed, ReservationClosed, TokenFinished),
        handler=release,
    ),
)
