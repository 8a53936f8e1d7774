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
    """The seats to hold, of a show or of the only show of a date: by number, or the best seats."""

    date: dt.date | None = None
    show_id: UUID | None = None
    seats: (
        Annotated[
            list[SeatNumber],
            Meta(min_length=1, max_length=100, description="Each number at most once."),
        ]
        | None
    ) = None
    count: (
        Annotated[
            int, Meta(ge=1, le=100, description="The number of best seats, in place of seats.")
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
                description="The section of the best seats; any section if unset.",
            ),
        ]
        | None
    ) = None
    together: (
        Annotated[
            bool,
            Meta(
                description="Whether the best seats must be side by side in one row; true if "
                "unset. With false they are if possible."
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
            raise ValueError("section and together need count")
        if len(set(self.seats)) < len(self.seats):
            raise ValueError("a seat is given twice")


class WaitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The maximum wait for the hold to end."""

    wait_seconds: Annotated[
        float,
        Meta(ge=0, le=30, description="Answer when it is no longer held, or after this time."),
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
    """Returns a reservation, if requested after its hold has ended."""
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
            "Seats by number, or a number of the best available seats: front rows first, near the "
            "middle, side by side. All of them or none. The hold lasts about five minutes, paid or "
            "not, and the session lasts at least as long."
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
        summary="Get a reservation, or wait for its hold to end",
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
        says="The seats are available at once. A released or expired hold may be released again.",
        who=Who.USER_OR_TOKEN,
        params={"reservation_id": UUID},
        answers=(Answer(204, "The hold is released."),),
        refusals=(NotFound, NotAllowed, ReservationClosed, TokenFinished),
        handler=release,
    ),
)
