"""The call for the seats of a date: the whole map, or its changes."""

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
    """Which seats of a date, and in which form."""

    show_id: Annotated[UUID | None, Meta(description="The show, if the date has several.")] = None


async def seats(ask: Ask) -> Response:
    """Returns the seats of a date."""
    wanted = ask.query or _ALL
    try:
        show = await _show(ask, wanted)
    except DomainError:
        # A token that may not act is refused first, whatever the request; and this is a claim too.
        await ask.services.rooms.enter(ask.queue_token)
        raise
    found = await ask.services.seat_maps.read(ask.queue_token, show)
    if show.sales_end_at <= found.seats.now:
        raise ShowClosed
    return await map_answer(ask.request, found, wanted)


async def _show(ask: Ask, wanted: SeatsQuery) -> Show:
    """Returns the requested show.

    Raises:
        NotAllowed: the token is another concert's.
        NotFound, ShowAmbiguous: the date does not name one show.
        ShowClosed: the show is cancelled.
    """
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
