"""Calls about the line: joining, following, leaving, and the draw."""

from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Content, Response
from msgspec import Meta

from frontrow.errors import NotFound, RoomClosed, SignInRequired, TokenFinished
from frontrow.waiting_room.model import Draw, Entries, QueueDocument, Status
from frontrow.web.access import cookies
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import JSON, encode, no_content, ok, tagged
from frontrow.web.openapi.state_examples import JOINED, STATUSES


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The line to join."""

    concert_id: UUID


class JoinedStatus(Status, frozen=True, gc=False, kw_only=True):
    """A status with its queue token."""

    token: Annotated[
        str | msgspec.UnsetType,
        Meta(
            description="The queue token: the credential for this line. For a page that joins "
            "with its cookie the token is set as a cookie instead."
        ),
    ] = msgspec.UNSET


class EntriesPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page of a draw's entrants."""

    after: Annotated[
        int, Meta(ge=0, le=2**31 - 1, description="The number before the first of the page.")
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=10_000, description="Maximum entrants in the page.")] = (
        1_000
    )


async def join(ask: Ask) -> Response:
    """Joins the user to a line."""
    user = ask.key_look_up or ask.user_id
    status, is_new = await ask.services.rooms.join(user, ask.body.concert_id)
    ask.user = status.user_id
    if not ask.by_cookie:
        return Response(201 if is_new else 200, None, Content(JSON, encode(status)))
    shown = JoinedStatus(**{name: getattr(status, name) for name in Status.__struct_fields__})
    response = Response(201 if is_new else 200, None, Content(JSON, encode(shown)))
    cookies.set_place(ask, response, status.concert_id, status.token)
    return response


async def status(ask: Ask) -> Response:
    """Returns the status of the place: the poll."""
    rooms, place = ask.services.rooms, ask.queue_token
    # Most polls are answered without I/O: a coroutine for that would cost as much as the status.
    current = rooms.waiting_status(place) or await rooms.status(place)
    tag = etag(place.place_id, rooms.claim_seconds(place), current)
    return tagged(ask.request, encode(current), tag, _PRIVATE)


def etag(place_id: UUID, claim_seconds: int, current: Status) -> bytes:
    """Returns the entity tag of a status: all of it except for the jitter of poll_after_ms.

    It contains the place, because two users of one browser share its cache and all places of a
    line before its draw have the same status; and the claim window, because it limits
    poll_after_ms.
    """
    eta, end = current.eta_seconds, ""
    if current.expires_at is not None:
        end = f"-{current.expires_at.timestamp():.6f}"
    if current.reason is not None:
        end += f"-{current.reason}"
    return (
        f'"{place_id.int >> 64:x}-{claim_seconds}-{current.position or 0}-{current.ahead}'
        f"-{current.seats_available}-{current.state[0]}{current.room_state[:2]}{current.sale[0]}"
        f'{"" if eta is None else f"-{eta.p50}-{eta.p90}"}{end}"'
    ).encode()


_PRIVATE = [
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"authorization, cookie, frontrow-concert"),
]
_ONE_SECOND = (b"cache-control", b"public, max-age=1")
_ONE_HOUR = (b"cache-control", b"public, max-age=3600")


async def document(ask: Ask) -> Response:
    """Returns the public document of a line."""
    return _public(await ask.services.rooms.document(ask.params["concert_id"]), _ONE_SECOND)


async def draw(ask: Ask) -> Response:
    """Returns the public document of a draw."""
    shown = await ask.services.draws.draw(ask.params["concert_id"])
    return _public(shown, _ONE_SECOND if shown.drawn_at is None else _ONE_HOUR)


async def entries(ask: Ask) -> Response:
    """Returns a public page of a draw's entrants."""
    page = ask.query or EntriesPage()
    return _public(
        await ask.services.draws.entries(
            ask.params["concert_id"], after=page.after, limit=page.limit
        ),
        _ONE_HOUR,
    )


def _public(body: object, kept: tuple[bytes, bytes]) -> Response:
    response = ok(body)
    response.add_header(*kept)
    return response


async def leave(ask: Ask) -> Response:
    """Leaves the line."""
    await ask.services.reservations.leave(ask.queue_token)
    response = no_content()
    if ask.by_cookie:
        cookies.drop_place(ask, response, ask.queue_token.concert_id)
    return response


_CONCERT = {"concert_id": UUID}
_CACHED = {"Cache-Control": "Public, one second."}
_DRAW_CACHED = {"Cache-Control": "Public: one second before the draw, one hour after it."}

CALLS = (
    Call(
        method="GET",
        path="/queue/tokens/me",
        name="queue_status",
        group="Line",
        summary="Follow a place in the line",
        says=(
            "The poll. Repeat it after poll_after_ms. A finished token is answered too, "
            "with its reason."
        ),
        who=Who.TOKEN,
        answers=(
            Answer(
                200,
                "The status.",
                Status,
                examples=STATUSES,
                headers={
                    "ETag": "The version of the status, for If-None-Match.",
                    "Cache-Control": "Private.",
                    "Vary": "The headers that may hold the credential.",
                },
            ),
            Answer(304, "The status has not changed since the version in If-None-Match."),
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
            "Returns a new place, or the user's present one: a user has one place in a line, on "
            "any number of devices."
        ),
        who=Who.USER,
        looks_up_key=True,
        body=NewToken,
        example={"concert_id": "0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d"},
        answers=(
            Answer(201, "A new place.", JoinedStatus, examples=JOINED),
            Answer(200, "The user's present place.", JoinedStatus, examples=JOINED),
        ),
        refusals=(NotFound, RoomClosed, SignInRequired),
        handler=join,
    ),
    Call(
        method="DELETE",
        path="/queue/tokens/me",
        name="leave_queue",
        group="Line",
        summary="Leave the line",
        says="Frees the slot and releases all holds of the place.",
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
        summary="Get a line's public document",
        says=(
            "The same for every client, so that one cached copy serves any number of waiting "
            "users: each computes an upper bound of the position from `serving`."
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
        summary="Get a draw's public document",
        says=(
            "The commitment as soon as the draw is set up; the seed and the digest of all entrants "
            "after the draw. `frontrow verify-draw` checks it."
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
        summary="List the entrants of a draw",
        says=(
            "After the draw; without user ids. Each process reads only a few pages at the same "
            "time."
        ),
        params=_CONCERT,
        query=EntriesPage,
        answers=(Answer(200, "A page of entrants, by number.", Entries, headers=_DRAW_CACHED),),
        refusals=(NotFound,),
        handler=entries,
    ),
)
