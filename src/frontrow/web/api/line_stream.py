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
from frontrow.waiting_room.model import Status
from frontrow.waiting_room.service import WaitingRooms
from frontrow.waiting_room.status_streams import StatusStream, StatusStreams
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.disconnects import until_disconnected
from frontrow.web.endpoint import encode
from frontrow.web.openapi.state_examples import STATUSES

_Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]

# Clients of a stopping server reconnect at a random time in this range.
_RETRY_MS = (1_000, 3_000)

# Kept alive by the open streams. A process has one server; tests run several in one process.
_streams: WeakValueDictionary[WaitingRooms, StatusStreams] = WeakValueDictionary()


async def follow(ask: Ask) -> Response:
    """Streams the status of the place, now and on every change, until it is finished."""
    content, request = ask.request.content, asyncio.current_task()
    if not isinstance(content, ASGIContent) or request is None:
        raise TypeError(content)
    stream = await _streams_of(ask.services).open(ask.queue_token)
    # If a client disconnects before its response begins, only the request's task ends for certain.
    request.add_done_callback(lambda _: stream.close())
    return Response(
        200,
        [(b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")],
        StreamedContent(b"text/event-stream", partial(_events, stream, content.receive)),
    )


async def _events(stream: StatusStream, receive: _Receive) -> AsyncIterator[bytes]:
    # Sending into a closed connection raises no error; only receiving reports that it is closed.
    disconnected = asyncio.create_task(until_disconnected(receive))
    disconnected.add_done_callback(lambda _: stream.end())
    try:
        yield b"retry: %d\n%b" % (random.randint(*_RETRY_MS), _event(stream.first()))  # noqa: S311 - spreads load
        while (status := await stream.next()) is not None:
            yield _event(status)
    finally:
        disconnected.cancel()
        stream.close()


def _event(status: Status) -> bytes:
    return b"event: status\ndata: %b\n\n" % encode(status)


def _streams_of(services: Services) -> StatusStreams:
    """Returns the open streams of this process."""
    streams = _streams.get(services.rooms)
    if streams is None:
        streams = _streams[services.rooms] = StatusStreams(
            services.rooms,
            limit=services.settings.streams,
            heartbeat_seconds=services.settings.stream_heartbeat_seconds,
            stopping=services.stopping,
        )
    return streams


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
                example="retry: 2143\n"
                + "".join(
                    f"event: status\ndata: {encode(STATUSES[name]).decode()}\n\n"
                    for name in ("waiting", "admitted")
                ),
                headers={"Cache-Control": "Not stored."},
            ),
        ),
        refusals=(TokenFinished,),
        handler=follow,
    ),
)
