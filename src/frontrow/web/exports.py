"""Exports: long responses streamed from the database, limited in number and time."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing

from blacksheep import Request, StreamedContent

from frontrow.errors import Overloaded

EXPORTS_AT_ONCE = 2
"""Maximum exports of one kind at the same time in one process."""
EXPORT_SECONDS = 300.0
"""Maximum duration of an export, including the pace of its client; then it is cut off."""

_TOO_SLOW = "the export took too long"


def room() -> threading.BoundedSemaphore:
    """Returns the limit of one kind of export, shared by all event loops of the process."""
    return threading.BoundedSemaphore(EXPORTS_AT_ONCE)


class Export:
    """An export: reads one page ahead, in a task that ends when the request ends.

    A client that stops reading would keep the database connection, and neither the server nor the
    framework reports that a response is abandoned: only the end of the request's task is certain.

    Args:
        pages: the pages to send.
        room: the limit that it counts against.
    """

    def __init__(
        self, pages: AsyncGenerator[bytes, None], room: threading.BoundedSemaphore
    ) -> None:
        self._pages = pages
        self._room = room
        self._ahead: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(maxsize=1)

    def start(self) -> None:
        """Starts to read, for the request of the present task.

        Raises:
            Overloaded: the limit of its kind is reached.
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
        """Returns the next page; ``None`` after the last. Raises the error of reading it."""
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
        except Exception as error:  # noqa: BLE001 - raised in the request, which waits for it
            end = error
        await self._ahead.put(end)

    def content(self, request: Request, media_type: bytes, first: bytes | None) -> StreamedContent:
        """Returns the content: all pages from ``first`` on, until the client disconnects."""

        async def pages() -> AsyncGenerator[bytes, None]:
            page = first
            # Sending to a disconnected client raises no error, so it must be checked.
            while page is not None and not await request.is_disconnected():
                yield page
                page = await self.next_page()

        return StreamedContent(media_type, pages)
