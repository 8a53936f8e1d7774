"""Ends a long answer when its client disconnects."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from blacksheep import Request
from blacksheep.contents import ASGIContent

from frontrow.errors import Malformed

_Result = TypeVar("_Result")


async def until_disconnected(receive: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    """Waits until the client has disconnected (ASGI's ``http.disconnect``)."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_connected(request: Request, waiting: Coroutine[Any, Any, _Result]) -> _Result:
    """Returns the result of a long poll, which is cancelled when its client disconnects.

    Neither the server nor the framework does that, and sending to a disconnected client raises no
    error: only receiving reports it.

    Raises:
        Malformed: the client has disconnected; this response isn't sent.
    """
    content = request.content
    if not isinstance(content, ASGIContent):
        raise TypeError(content)
    result = asyncio.create_task(waiting)
    disconnected = asyncio.create_task(until_disconnected(content.receive))
    try:
        await asyncio.wait({result, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise Malformed("The client disconnected.")
        return result.result()
    finally:
        disconnected.cancel()
        result.cancel()
