"""Long answers that are streamed from the database: few at a time, and never for ever."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing

from blacksheep import Request, StreamedContent

from frontrow.errors import Overloaded

EXPORTS_AT_ONCE = 2
"""Of one kind, in one process."""
EXPORT_SECONDS = 300.0
"""Longest time for an export, its reader's pace included; then it is cut off."""

_TOO_SLOW = "the export took too long"


def room() -> threading.BoundedSemaphore:
    """Room for one kind of export: no kind takes another's. Of the process, whatever loops."""
    return threading.BoundedSemaphore(EXPORTS_AT_ONCE)


class Export:
    """Reads a page ahead of the answer, in a task that ends with the request, however that ends.

    A reader that stands still would keep the connection for ever, and neither the server nor the
    framework tells the answer that it is given up: only the end of the request's task is sure.

    Args:
        pages: what is read.
        room: where it takes its place.
    """

    def __init__(
        self, pages: AsyncGenerator[bytes, None], room: threading.BoundedSemaphore
    ) -> None:
        self._pages = pages
        self._room = room
        self._ahead: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(maxsize=1)

    def start(self) -> None:
        """Starts to read, for the request that the present task answers.

        Raises:
            Overloaded: as many exports of its kind as there may be run already.
        """
        request = asyncio.current_task()
        if request is None or not self._room.acquire(blocking=False):
            raise Overloaded
        reading = asyncio.create_task(self._read())
        reading.add_done_callback(lambda _: self._room.release())
        cut = asyncio.get_running_loop().call_later(EXPORT_SECONDS, request.cancel, _TOO_SLOW)
        request.add_done_callback(lambda _: cut.cancel())
        request.add_done_callback(lambda _: reading.cancel())

    async def next_page(self) -> bytes | None:
        """The next page; ``None`` after the last. Raises what reading it fails with."""
        page = await self._ahead.get()
        if isinstance(page, Exception):
            raise page
        return page

    async def _read(self) -> None:
        end: Exception | None = None
        try:
            async with aclosing(self._pages) as pages:
                async for page in pages:
                    await self._ahead.put(page)
        except Exception as error:  # noqa: BLE001 - the request, which waits for it, gets it
            end = error
        await self._ahead.put(end)

    def content(self, request: Request, media_type: bytes, first: bytes | None) -> StreamedContent:
        """All pages from ``first`` on, as long as somebody is there to read them."""

        async def pages() -> AsyncGenerator[bytes, None]:
            page = first
            # Sending to a client that has gone away fails for nobody: one has to ask.
            while page is not None and not await request.is_disconnected():
                yield page
                page = await self.next_page()

        return StreamedContent(media_type, pages)
