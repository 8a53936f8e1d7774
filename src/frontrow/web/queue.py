"""Calls about the line: tokens."""

from uuid import UUID

import msgspec
from blacksheep import Content, Response

from frontrow.errors import NotFound, RoomClosed, TokenFinished
from frontrow.waiting_room.model import IssuedStatus, Status
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import JSON, encode, no_content, tagged


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which line to join."""

    concert_id: UUID


async def join(ask: Ask) -> Response:
    """Gives the user a place in a line."""
    status, is_new = await ask.services.rooms.join(ask.user_id, ask.body.concert_id)
    return Response(201 if is_new else 200, None, Content(JSON, encode(status)))


async def status(ask: Ask) -> Response:
    """Tells how the place stands: the poll."""
    current = await ask.services.rooms.status(ask.queue_token)
    # All that a waiting place's status says, without the jitter of poll_after_ms.
    etag = f'"{current.number}-{current.ahead}-{current.seats_available}-{current.state[0]}'
    if current.expires_at is not None:
        etag += f"-{current.expires_at.timestamp():.6f}"
    return tagged(ask.request, encode(current), f'{etag}"'.encode(), _PRIVATE)


_PRIVATE = [(b"cache-control", b"private, no-cache")]


async def leave(ask: Ask) -> Response:
    """Takes the place out of the line."""
    await ask.services.reservations.leave(ask.queue_token)
    return no_content()


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
            Answer(201, "A new place.", IssuedStatus),
            Answer(200, "The place that the user has already.", IssuedStatus),
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
)
