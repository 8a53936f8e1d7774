"""The call for the seats of a date: the map, what has changed of it, nothing at all."""

from datetime import date
from typing import Annotated
from uuid import UUID

from blacksheep import Response
from msgspec import Meta

from frontrow.concerts.model import SeatMap, Show
from frontrow.errors import DomainError, NotAllowed, NotFound, ShowAmbiguous, ShowClosed
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.seat_maps import MAP_HEADERS, UNCHANGED, MapQuery, map_answer


class SeatsQuery(MapQuery, frozen=True, forbid_unknown_fields=True):
    """Which seats of a date, and how they are told."""

    show_id: Annotated[UUID | None, Meta(description="Which show, where a date has several.")] = (
        None
    )


async def seats(ask: Ask) -> Response:
    """Shows the seats of a date."""
    wanted = ask.query or _ALL
    try:
        show = await _show(ask, wanted)
    except DomainError:
        # A token that may not act is told so, whatever it asks for; and this too is a claim.
        await ask.services.rooms.enter(ask.queue_token)
        raise
    found = await ask.services.seat_maps.read(ask.queue_token, show)
    if show.sales_end_at <= found.seats.now:
        raise ShowClosed
    return await map_answer(ask.request, found, wanted)


async def _show(ask: Ask, wanted: SeatsQuery) -> Show:
    """The show that is asked for; a token serves its own concert only."""
    concert_id: UUID = ask.params["concert_id"]
    if concert_id != ask.queue_token.concert_id:
        raise NotAllowed
    show = await ask.services.catalogue.show(concert_id, ask.params["date"], wanted.show_id)
    if show.cancelled_at is not None:
        raise ShowClosed
    return show


_ALL = SeatsQuery()

CALLS = (
    Call(
        method="GET",
        path="/concerts/{concert_id}/dates/{date}/seats",
        name="seats",
        group="Dates and seats",
        summary="Show the seats of a date",
        says=(
            "All of them, with the sections; or, with `since`, those that may have changed since "
            "that version, as they are now. Where that can't be told, or would be longer, the "
            "answer is all of them again: `complete` says which it is. The tag is the same for "
            "every form: as long as it stays, no seat has changed. Of a show that is cancelled "
            "or whose sale has ended there are none to see: 409 `show_closed`."
        ),
        who=Who.ADMITTED,
        params={"concert_id": UUID, "date": date},
        query=SeatsQuery,
        answers=(Answer(200, "The seats.", SeatMap, headers=MAP_HEADERS), UNCHANGED),
        refusals=(NotAllowed, NotFound, ShowAmbiguous, ShowClosed),
        handler=seats,
    ),
)
