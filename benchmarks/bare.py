"""The yardstick: an ASGI handler that reads the body, and answers with one recorded response.

It does what no handler can do without: no routing, no credentials, no limits, no framework.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec


class Recorded(msgspec.Struct, frozen=True):
    """A response as it was received, without the headers that the server adds (``Date``)."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


Message = dict[str, Any]
_recorded = msgspec.json.decode(os.environ.get("RECORDED", "null"), type=Recorded | None)
_start: Message = {}
_body: Message = {"type": "http.response.body", "more_body": False}
if _recorded is not None:
    _start = {
        "type": "http.response.start",
        "status": _recorded.status,
        "headers": [(name.encode(), value.encode()) for name, value in _recorded.headers],
    }
    _body["body"] = _recorded.body


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answers each request with the recorded response."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["method"] != "GET":
        while (await receive()).get("more_body", False):
            pass
    await send(_start)
    await send(_body)
