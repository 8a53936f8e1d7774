"""The call for the seats of a date: the map, what has changed of it, nothing at all."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Content, Request, Response
from msgspec import Meta

from frontrow.concerts.model import SeatMap, Show
from frontrow.concerts.seat_documents import Form, Wanted
from frontrow.concerts.seat_maps import LiveMap
from frontrow.concerts.seats_now import VERSION_PATTERN
from frontrow.errors import DomainError, NotAllowed, NotFound, ShowAmbiguous, ShowClosed
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import JSON, knows, takes_gzip


class MapQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which seats of a show, and how they are told."""

    available: Annotated[bool, Meta(description="Only seats that are free; in the plain form.")] = (
        False
    )
    form: Annotated[
        Form, Meta(description="`compact`: the states as one string instead of all the seats.")
    ] = "plain"
    since: Annotated[
        Annotated[str, Meta(pattern=VERSION_PATTERN)] | None,
        Meta(description="A `version` that the caller has: only what may have changed since."),
    ] = None

    def __post_init__(self) -> None:
        if self.available and (self.form == "compact" or self.since is not None):
            message = "available goes with neither form=compact nor since"
            raise ValueError(message)
        if self.since is not None and self.since.endswith("\n"):  # which "$" lets pass
            message = "since is no version"
            raise ValueError(message)


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


async def map_answer(request: Request, found: LiveMap, wanted: MapQuery) -> Response:
    """The seats in the form that is wanted, or 304 to a caller who has them."""
    if knows(request, found.etag):
        response = Response(304)
    else:
        document = found.document(Wanted(wanted.form, wanted.available, wanted.since))
        zipped = await document.gzipped() if takes_gzip(request) else None
        if zipped is None:
            response = Response(200, None, Content(JSON, document.body))
        else:
            response = Response(200, [(b"content-encoding", b"gzip")], Content(JSON, zipped))
    response.add_header(b"etag", found.etag)
    response.add_header(b"cache-control", b"private, no-cache")
    response.add_header(b"vary", b"accept-encoding")
    return response


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

MAP_HEADERS = {
    "ETag": "Names the states of all seats, for If-None-Match.",
    "Cache-Control": "To be asked for again each time.",
    "Vary": "By Accept-Encoding: gzip is given to those who take it.",
}
UNCHANGED = Answer(304, "No seat has changed since the answer that If-None-Match names.")

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
