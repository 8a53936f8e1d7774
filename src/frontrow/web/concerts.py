"""Calls about what is on sale: concerts, dates, seats."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.concerts.model import Concert, Dates, SeatMap
from frontrow.errors import NotAllowed, NotFound, ShowAmbiguous
from frontrow.waiting_room.model import RoomState
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import ok, tagged


class ListedConcert(Concert, frozen=True):
    """A concert and how its line stands."""

    state: Annotated[RoomState, Meta(description="The state of its waiting room.")]


class Concerts(msgspec.Struct, frozen=True):
    """What is on sale."""

    concerts: list[ListedConcert]


class DatesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dates."""

    all: Annotated[bool, Meta(description="Also dates without a seat.")] = False


class SeatsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which seats."""

    available: Annotated[bool, Meta(description="Only seats that are free.")] = False
    show_id: Annotated[UUID | None, Meta(description="Which show, where a date has several.")] = (
        None
    )


async def concerts(ask: Ask) -> Response:
    """Lists what is on sale."""
    listed = await ask.services.catalogue.concerts()
    lines = ask.services.rooms.snapshot.by_concert
    return ok(
        Concerts(
            [
                ListedConcert(
                    **msgspec.structs.asdict(concert), state=lines[concert.concert_id].state
                )
                for concert in listed
                if concert.concert_id in lines
            ]
        )
    )


async def dates(ask: Ask) -> Response:
    """Lists the dates of a concert."""
    concert_id = _own_concert(ask)
    all_dates = ask.query is not None and ask.query.all
    return ok(await ask.services.catalogue.dates(concert_id, all_dates=all_dates))


async def seats(ask: Ask) -> Response:
    """Shows the seats of a date."""
    concert_id = _own_concert(ask)
    wanted = ask.query or SeatsQuery()
    catalogue = ask.services.catalogue
    show = await catalogue.show(concert_id, ask.params["date"], wanted.show_id)
    document = await catalogue.seat_map(show, only_available=wanted.available)
    return tagged(ask.request, document.body, document.etag, [])


def _own_concert(ask: Ask) -> UUID:
    """A token serves its own concert only."""
    concert_id: UUID = ask.params["concert_id"]
    if concert_id != ask.queue_token.concert_id:
        raise NotAllowed
    return concert_id


CALLS = (
    Call(
        method="GET",
        path="/concerts/{concert_id}/dates/{date}/seats",
        name="seats",
        group="Dates and seats",
        summary="Show the seats of a date",
        who=Who.ADMITTED,
        enters=True,
        params={"concert_id": UUID, "date": date},
        query=SeatsQuery,
        answers=(
            Answer(
                200, "The seats.", SeatMap, headers={"ETag": "Names this map, for If-None-Match."}
            ),
            Answer(304, "The map is the one that If-None-Match names."),
        ),
        refusals=(NotAllowed, NotFound, ShowAmbiguous),
        handler=seats,
    ),
    Call(
        method="GET",
        path="/concerts/{concert_id}/dates",
        name="dates",
        group="Dates and seats",
        summary="List the dates with a seat available",
        who=Who.ADMITTED,
        enters=True,
        params={"concert_id": UUID},
        query=DatesQuery,
        answers=(Answer(200, "The dates.", Dates),),
        refusals=(NotAllowed, NotFound),
        handler=dates,
    ),
    Call(
        method="GET",
        path="/concerts",
        name="concerts",
        group="Dates and seats",
        summary="List what is on sale",
        answers=(Answer(200, "The concerts.", Concerts),),
        handler=concerts,
    ),
)
