"""Exports: long responses, read from the database into a file before they are sent.

A slow client then keeps a file, and no connection, transaction or snapshot of the database.
"""

import asyncio
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import IO
from uuid import UUID

from blacksheep import Request
from blacksheep.contents import StreamedContent

from frontrow.errors import Malformed, Overloaded, RateLimited

READ_AT_ONCE = 2
"""Maximum exports of one kind that one process reads at the same time."""
KEPT_AT_ONCE = 16
"""Maximum files of one kind; for one more, the oldest export is cut off."""
EXPORT_SECONDS = 300.0
"""Maximum duration of reading an export, and of sending it; then it is cut off."""

_MEMORY_BYTES = 256 * 1024
"""Smaller exports are kept in memory."""
_CHUNK_BYTES = 64 * 1024
_CUT_OFF = "the export took too long, or others needed its place"


class Exports:
    """The exports of one kind, of all event loops of the process."""

    def __init__(self) -> None:
        self._reads = threading.BoundedSemaphore(READ_AT_ONCE)
        self._lock = threading.Lock()
        self._users: set[UUID] = set()
        # In order of their start; each with the function that cuts it off.
        self._sending: dict[asyncio.Task[None], Callable[[], object]] = {}

    async def content(
        self,
        request: Request,
        media_type: bytes,
        pages: AsyncGenerator[bytes, None],
        user_id: UUID | None = None,
    ) -> StreamedContent:
        """Reads an export. Returns the content of its response, until the present task ends.

        Args:
            request: the request of the present task.
            media_type: the type of the content.
            pages: the content.
            user_id: the user who may have only one export at a time; ``None`` for an operator.

        Raises:
            RateLimited: the user has another export.
            Overloaded: too many exports are being read, or this one took too long.
            Exception: reading the pages failed.
        """
        task: asyncio.Task[None] = asyncio.current_task()  # type: ignore[assignment]
        self._enter(user_id, task)
        if not self._reads.acquire(blocking=False):
            raise Overloaded
        try:
            async with asyncio.timeout(EXPORT_SECONDS) as limit:
                file, size = await _spool(request, pages, task)
        except TimeoutError:
            if limit.expired():
                raise Overloaded from None
            raise
        finally:
            self._reads.release()
        self._bound(task)
        return StreamedContent(media_type, partial(_chunks, request, file), size)

    def _enter(self, user_id: UUID | None, task: "asyncio.Task[None]") -> None:
        """Registers the user until the task ends."""
        if user_id is None:
            return
        with self._lock:
            if user_id in self._users:
                raise RateLimited("Another export of this user is running.")
            self._users.add(user_id)
        task.add_done_callback(lambda _: self._users.discard(user_id))

    def _bound(self, task: "asyncio.Task[None]") -> None:
        """Bounds the time of the task from now on, and the number of files."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if len(self._sending) >= KEPT_AT_ONCE:
                next(iter(self._sending.values()))()
            self._sending[task] = partial(loop.call_soon_threadsafe, task.cancel, _CUT_OFF)
        timer = loop.call_later(EXPORT_SECONDS, task.cancel, _CUT_OFF)
        task.add_done_callback(lambda _: timer.cancel())
        task.add_done_callback(self._leave)

    def _leave(self, task: "asyncio.Task[None]") -> None:
        with self._lock:
            self._sending.pop(task, None)


async def _spool(
    request: Request, pages: AsyncGenerator[bytes, None], task: "asyncio.Task[None]"
) -> tuple[IO[bytes], int]:
    """Writes the pages into a file that is closed when the task ends. Returns its size too."""
    file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 - see above
    task.add_done_callback(lambda _: file.close())
    async with aclosing(pages):
        async for page in pages:
            await asyncio.to_thread(file.write, page)
            if await request.is_disconnected():
                raise Malformed("The client disconnected.")
    size = file.tell()
    file.seek(0)
    return file, size


async def _chunks(request: Request, file: IO[bytes]) -> AsyncIterator[bytes]:
    # Sending to a disconnected client raises no error, so it must be checked.
    while (chunk := file.read(_CHUNK_BYTES)) and not await request.is_disconnected():
        yield chunk
