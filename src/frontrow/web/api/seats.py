"""The call for the seats of a date: the whole map, or its changes."""

from datetime import date
from typing import Annotated
from uuid import UUID

from blacksheep import Response
from msgspec import Meta

from frontrow.concerts.model import SeatMap
from frontrow.errors import NotAllowed, NotFound, ShowAmbiguous, ShowClosed
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.seat_maps import MAP_HEADERS, UNCHANGED, MapQuery, map_answer


class SeatsQuery(MapQuery, frozen=True, forbid_unknown_fields=True):
    """Which seats of a date, and in which form."""

    show_id: Annotated[UUID | None, Meta(description="The show, if the date has several.")] = None


async def seats(ask: Ask) -> Response:
    """Returns the seats of a date."""
    wanted, params = ask.query or _ALL, ask.params
    found = await ask.services.place_access.seats(
        ask.queue_token, params["concert_id"], params["date"], wanted.show_id
    )
    return await map_answer(ask.request, found, wanted)


_ALL = SeatsQuery()

CALLS = (
    Call(
        method="GET",
        path="/concerts/{concert_id}/dates/{date}/seats",
        name="seats",
        group="Dates and seats",
        summary="Get the seats of a date",
        says=(
            "All seats with the sections; or, with `since`, the present state of the seats that "
            "may have changed since that version. If the changes are unknown, or longer than the "
            "map, the answer has all seats: `complete` says which. The entity tag is the same for "
            "every form: while it stays the same, no seat has changed. A cancelled show, or one "
            "whose sale has ended, answers 409 `show_closed`."
        ),
        who=Who.ADMITTED,
        params={"concert_id": UUID, "date": date},
        query=SeatsQuery,
        answers=(Answer(200, "The seats.", SeatMap, headers=MAP_HEADERS), UNCHANGED),
        refusals=(NotAllowed, NotFound, ShowAmbiguous, ShowClosed),
        handler=seats,
    ),
)
