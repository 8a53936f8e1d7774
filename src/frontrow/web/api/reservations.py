"""Calls about reservations."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.errors import (
    NotAllowed,
    NotFound,
    RecentlyReleased,
    ReservationClosed,
    SeatLimit,
    SeatsUnavailable,
    SeatTaken,
    ShowAmbiguous,
    ShowClosed,
    SignInRequired,
    TokenFinished,
)
from frontrow.reservations.model import Reservation, Wish
from frontrow.text_rules import LINE
from frontrow.web.access.client_addresses import network_number
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.disconnects import while_connected
from frontrow.web.endpoint import created, no_content, ok
from frontrow.web.openapi.examples import DATE, SEATS
from frontrow.web.openapi.state_examples import RESERVATIONS

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
                pattern=LINE,
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
    show = await services.place_access.show_to_hold(place, wanted.date, wanted.show_id, key)
    seats = wanted.seats or Wish(wanted.count, wanted.section, wanted.together is not False)
    network = None if ask.address is None else network_number(ask.address)
    reservation, replayed = await services.reservations.hold(place, show, seats, key, network)
    return created(reservation, replayed=replayed)


async def get(ask: Ask) -> Response:
    """Returns a reservation, if requested after its hold has ended."""
    seconds = ask.query.wait_seconds if ask.query is not None else 0
    services, reservation_id = ask.services, ask.params["reservation_id"]
    if ask.place is not None:
        await services.place_access.check_reservation(ask.place, reservation_id)
    waiting = services.reservations.wait(reservation_id, ask.user_id, seconds)
    return ok(await (while_connected(ask.request, waiting) if seconds else waiting))


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
            "not, and the session lasts at least as long. Seats that a user released or let expire "
            "can't be held again by the same user for the length of a hold. From one address only "
            "a limited number of seats may be held unpaid (429)."
        ),
        who=Who.ADMITTED,
        body=NewReservation,
        example={"date": DATE, "seats": SEATS},
        idempotent=True,
        answers=(Answer(201, "The seats are held.", Reservation),),
        refusals=(
            NotFound,
            NotAllowed,
            SignInRequired,
            SeatTaken,
            RecentlyReleased,
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
        says="At most ten calls of a user wait in each process; one more is 429 `rate_limited`.",
        who=Who.USER_OR_TOKEN,
        params={"reservation_id": UUID},
        query=WaitQuery,
        answers=(Answer(200, "The reservation.", Reservation, examples=RESERVATIONS),),
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
