"""Calls about the line: tokens."""

from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Content, Response
from msgspec import Meta

from frontrow.errors import NotFound, RoomClosed, TokenFinished
from frontrow.waiting_room.draw import Draw, Entries
from frontrow.waiting_room.model import QueueDocument, Status
from frontrow.web.access import cookies
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import JSON, encode, no_content, ok, tagged


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which line to join."""

    concert_id: UUID


class JoinedStatus(Status, frozen=True, gc=False, kw_only=True):
    """A status with the token that follows it."""

    token: Annotated[
        str | msgspec.UnsetType,
        Meta(
            description="The queue token: the credential for this line. A page that joins by its "
            "cookie gets it as a cookie, and not here."
        ),
    ] = msgspec.UNSET


class EntriesPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entrants of a draw."""

    after: Annotated[
        int, Meta(ge=0, le=2**31 - 1, description="The number that the page begins behind.")
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=10_000, description="Most entrants in the page.")] = 1_000


async def join(ask: Ask) -> Response:
    """Gives the user a place in a line."""
    status, is_new = await ask.services.rooms.join(ask.user_id, ask.body.concert_id)
    if not ask.by_cookie:
        return Response(201 if is_new else 200, None, Content(JSON, encode(status)))
    shown = JoinedStatus(**{name: getattr(status, name) for name in Status.__struct_fields__})
    response = Response(201 if is_new else 200, None, Content(JSON, encode(shown)))
    cookies.set_place(ask, response, status.concert_id, status.token)
    return response


async def status(ask: Ask) -> Response:
    """Tells how the place stands: the poll."""
    rooms, place = ask.services.rooms, ask.queue_token
    current = await rooms.status(place)
    line = rooms.snapshot.lines[place.room_id]  # known: the status was made from it
    tag = etag(place.place_id, line.claim_seconds, current)
    return tagged(ask.request, encode(current), tag, _PRIVATE)


def etag(place_id: UUID, claim_seconds: int, current: Status) -> bytes:
    """Names whose status it is and all that it says, but for the jitter of poll_after_ms.

    Two users of one browser share its cache, and all places in a line that is still to be drawn
    stand alike. The claim window bounds poll_after_ms.
    """
    tag = (
        f'"{place_id.int >> 64:x}-{claim_seconds}-{current.position or 0}-{current.ahead}'
        f"-{current.seats_available}-{current.state[0]}{current.room_state[:2]}{current.sale[0]}"
    )
    if current.eta_seconds is not None:
        tag += f"-{current.eta_seconds.p50}-{current.eta_seconds.p90}"
    if current.expires_at is not None:
        tag += f"-{current.expires_at.timestamp():.6f}"
    if current.reason is not None:
        tag += f"-{current.reason}"
    return f'{tag}"'.encode()


_PRIVATE = [
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"authorization, cookie, frontrow-concert"),
]
_FOR_A_SECOND = (b"cache-control", b"public, max-age=1")
_FOR_AN_HOUR = (b"cache-control", b"public, max-age=3600")


async def document(ask: Ask) -> Response:
    """Shows a line to everybody."""
    return _public(await ask.services.rooms.document(ask.params["concert_id"]), _FOR_A_SECOND)


async def draw(ask: Ask) -> Response:
    """Shows a draw to everybody."""
    shown = await ask.services.draws.draw(ask.params["concert_id"])
    return _public(shown, _FOR_A_SECOND if shown.drawn_at is None else _FOR_AN_HOUR)


async def entries(ask: Ask) -> Response:
    """Shows the entrants of a draw to everybody."""
    page = ask.query or EntriesPage()
    return _public(
        await ask.services.draws.entries(
            ask.params["concert_id"], after=page.after, limit=page.limit
        ),
        _FOR_AN_HOUR,
    )


def _public(body: object, kept: tuple[bytes, bytes]) -> Response:
    response = ok(body)
    response.add_header(*kept)
    return response


async def leave(ask: Ask) -> Response:
    """Takes the place out of the line."""
    await ask.services.reservations.leave(ask.queue_token)
    response = no_content()
    if ask.by_cookie:
        cookies.drop_place(ask, response, ask.queue_token.concert_id)
    return response


_CONCERT = {"concert_id": UUID}
_CACHED = {"Cache-Control": "For everybody, for a second."}
_DRAW_CACHED = {"Cache-Control": "For everybody: for a second, once drawn for an hour."}

CALLS = (
    Call(
        method="GET",
        path="/queue/tokens/me",
        name="queue_status",
        group="Line",
        summary="Follow a place in the line",
        says=(
            "The poll. Ask again after poll_after_ms. A finished token is answered too, "
            "with its reason."
        ),
        who=Who.TOKEN,
        answers=(
            Answer(
                200,
                "The status.",
                Status,
                headers={
                    "ETag": "Names this status, for If-None-Match.",
                    "Cache-Control": "For its owner only.",
                    "Vary": "By whatever may be the credential.",
                },
            ),
            Answer(304, "The status is the one that If-None-Match names."),
        ),
        handler=status,
    ),
    Call(
        method="POST",
        path="/queue/tokens",
        name="join_queue",
        group="Line",
        summary="Join a concert's line",
        says=(
            "Gives a new place, or the live one: a user has one place in a line, on any number "
            "of devices."
        ),
        who=Who.USER,
        body=NewToken,
        example={"concert_id": "0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d"},
        answers=(
            Answer(201, "A new place.", JoinedStatus),
            Answer(200, "The place that the user has already.", JoinedStatus),
        ),
        refusals=(NotFound, RoomClosed),
        handler=join,
    ),
    Call(
        method="DELETE",
        path="/queue/tokens/me",
        name="leave_queue",
        group="Line",
        summary="Leave the line",
        says="Frees the slot and releases any hold.",
        who=Who.TOKEN,
        answers=(Answer(204, "The place is finished."),),
        refusals=(TokenFinished,),
        handler=leave,
    ),
    Call(
        method="GET",
        path="/concerts/{concert_id}/queue",
        name="queue_document",
        group="Line",
        summary="Show a line to everybody",
        says=(
            "The same answer for all, so that one cached copy serves any number of people: each "
            "reckons their own place from `serving`."
        ),
        params=_CONCERT,
        answers=(Answer(200, "The line.", QueueDocument, headers=_CACHED),),
        refusals=(NotFound,),
        handler=document,
    ),
    Call(
        method="GET",
        path="/concerts/{concert_id}/queue/draw",
        name="draw",
        group="Line",
        summary="Show a draw to everybody",
        says=(
            "The commitment as soon as the draw is set up; the seed and the digest of all entrants "
            "once the line has been drawn. `frontrow verify-draw` checks it."
        ),
        params=_CONCERT,
        answers=(Answer(200, "The draw.", Draw, headers=_DRAW_CACHED),),
        refusals=(NotFound,),
        handler=draw,
    ),
    Call(
        method="GET",
        path="/concerts/{concert_id}/queue/draw/entries",
        name="draw_entries",
        group="Line",
        summary="Show the entrants of a draw to everybody",
        says=(
            "Once the line has been drawn; without the users. Of one process only a few pages are "
            "read at once."
        ),
        params=_CONCERT,
        query=EntriesPage,
        answers=(Answer(200, "A page of entrants, by number.", Entries, headers=_DRAW_CACHED),),
        refusals=(NotFound,),
        handler=entries,
    ),
)
