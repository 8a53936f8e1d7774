"""Waits for holds to end: one task of the process reads all awaited reservations.

A reservation is read once a round for any number of waiting calls, and not after the last of them.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from uuid import UUID

from frontrow.errors import RateLimited
from frontrow.reservations.model import Reservation
from frontrow.reservations.queries import ReservationItem

WAITING_CALLS_PER_USER = 10
"""Most calls of one user that wait at a time: the user's devices and windows."""
_ROUND_SECONDS = 0.25
_READ_ITEMS = 500


class _Awaited:
    """A reservation that calls wait for; ``ended`` is done when they need not wait any more."""

    __slots__ = ("calls", "ended")

    def __init__(self) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self.calls = 0


class HoldWatch:
    """The awaited reservations of one process. Its task ends with the last of them.

    Args:
        read: reads reservations, each of its owner; ``None`` for one that doesn't exist.
        stopping: set when the process drains, which ends every wait.
    """

    def __init__(
        self,
        read: Callable[[Sequence[ReservationItem]], Awaitable[Sequence[Reservation | None]]],
        stopping: asyncio.Event,
    ) -> None:
        self._read = read
        self._stopping = stopping
        self._awaited: dict[ReservationItem, _Awaited] = {}
        self._calls_by_user: Counter[UUID] = Counter()
        self._watching: asyncio.Task[None] | None = None

    async def until_ended(self, item: ReservationItem, seconds: float) -> None:
        """Waits until a reservation is no longer held, the time is up, or the process drains.

        Raises:
            RateLimited: too many calls of this user wait.
        """
        with self._counted(item.user_id), self._joined(item) as awaited:
            # asyncio.wait cancels nothing: other calls may wait for the same reservation.
            await asyncio.wait([awaited.ended], timeout=seconds)

    @contextlib.contextmanager
    def _counted(self, user_id: UUID) -> Iterator[None]:
        if self._calls_by_user[user_id] >= WAITING_CALLS_PER_USER:
            raise RateLimited("Too many calls of this user wait.")
        self._calls_by_user[user_id] += 1
        try:
            yield
        finally:
            self._calls_by_user[user_id] -= 1
            if not self._calls_by_user[user_id]:
                del self._calls_by_user[user_id]

    @contextlib.contextmanager
    def _joined(self, item: ReservationItem) -> Iterator[_Awaited]:
        awaited = self._awaited.get(item)
        if awaited is None:
            awaited = self._awaited[item] = _Awaited()
        awaited.calls += 1
        # A task that has found nothing awaited is done before any other code runs.
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name="holds")
        try:
            yield awaited
        finally:
            awaited.calls -= 1
            if not awaited.calls and self._awaited.get(item) is awaited:
                del self._awaited[item]

    async def _watch(self) -> None:
        try:
            while self._awaited and not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _ROUND_SECONDS)
                # While the database is away, calls wait until their time is up.
                with contextlib.suppress(Exception):
                    await self._end_waits()
        finally:
            for awaited in self._awaited.values():
                _end(awaited)
            self._awaited.clear()

    async def _end_waits(self) -> None:
        """Ends the waits for reservations that are no longer held."""
        items = iter(list(self._awaited))
        while part := list(islice(items, _READ_ITEMS)):
            for item, reservation in zip(part, await self._read(part), strict=True):
                if (reservation is None or reservation.state != "held") and item in self._awaited:
                    _end(self._awaited.pop(item))


def _end(awaited: _Awaited) -> None:
    if not awaited.ended.done():
        awaited.ended.set_result(None)
