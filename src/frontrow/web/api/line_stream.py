"""The stream of a place's status, as server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from blacksheep import Response
from blacksheep.contents import ASGIContent, StreamedContent

from frontrow.errors import TokenFinished
from frontrow.services import Services
from frontrow.waiting_room.following import Follower, Followers
from frontrow.waiting_room.model import Status
from frontrow.waiting_room.service import WaitingRooms
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import encode

_Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]

# Clients of a stopping server reconnect at a random time in this range.
_RETRY_MS = (1_000, 3_000)

# Kept alive by the open streams. A process has one server; tests run several in one process.
_followers: WeakValueDictionary[WaitingRooms, Followers] = WeakValueDictionary()


async def follow(ask: Ask) -> Response:
    """Streams the status of the place, now and on every change, until it is finished."""
    content, request = ask.request.content, asyncio.current_task()
    if not isinstance(content, ASGIContent) or request is None:
        raise TypeError(content)
    follower = await _followers_of(ask.services).follow(ask.queue_token)
    # If a client disconnects before its response begins, only the request's task ends for certain.
    request.add_done_callback(lambda _: follower.close())
    return Response(
        200,
        [(b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")],
        StreamedContent(b"text/event-stream", partial(_events, follower, content.receive)),
    )


async def _events(follower: Follower, receive: _Receive) -> AsyncIterator[bytes]:
    # Sending into a closed connection raises no error; only receiving reports that it is closed.
    disconnected = asyncio.create_task(_disconnected(receive))
    disconnected.add_done_callback(lambda _: follower.end())
    try:
        yield b"retry: %d\n%b" % (random.randint(*_RETRY_MS), _event(follower.first()))  # noqa: S311 - spreads load
        while (status := await follower.next()) is not None:
            yield _event(status)
    finally:
        disconnected.cancel()
        follower.close()


async def _disconnected(receive: _Receive) -> None:
    """Waits until the client has disconnected (ASGI's ``http.disconnect``)."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(status: Status) -> bytes:
    return b"event: status\ndata: %b\n\n" % encode(status)


def _followers_of(services: Services) -> Followers:
    """Returns the open streams of this process."""
    followers = _followers.get(services.rooms)
    if followers is None:
        followers = _followers[services.rooms] = Followers(
            services.rooms,
            limit=services.settings.streams,
            heartbeat_seconds=services.settings.stream_heartbeat_seconds,
            stopping=services.stopping,
        )
    return followers


CALLS = (
    Call(
        method="GET",
        path="/queue/tokens/me/events",
        name="queue_events",
        group="Line",
        summary="Follow a place without polling",
        says=(
            "Server-sent events. The first `status` is sent at once, then one on each change: at "
            "most one per second, at least one every 15 seconds. `data` is the answer of the "
            "poll. The stream ends after the status `finished`, and when the server stops: "
            "open it again after `retry`."
        ),
        who=Who.TOKEN,
        answers=(
            Answer(
                200,
                "Events named `status`.",
                str,
                "text/event-stream",
                example='retry: 2143\nevent: status\ndata: {"number":496,"state":"waiting",…}\n\n',
                headers={"Cache-Control": "Not stored."},
            ),
        ),
        refusals=(TokenFinished,),
        handler=follow,
    ),
)
