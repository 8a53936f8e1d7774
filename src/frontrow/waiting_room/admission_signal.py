"""Wakes the admission of a process for the rooms in which a slot may be free."""

import asyncio
from time import monotonic


class AdmissionSignal:
    """Collects the rooms to check, and wakes the admission loop of this process."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._rooms: set[int] = set()
        self.woken_at: dict[int, float] = {}
        """By room: when it was first woken since its last check, on the monotonic clock."""

    def wake(self, room_id: int) -> None:
        """Requests a check of this room."""
        self._rooms.add(room_id)
        self.woken_at.setdefault(room_id, monotonic())
        self._woken.set()

    async def wait(self, seconds: float) -> set[int]:
        """Returns the woken rooms as soon as there are any; an empty set after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return set()
        self._woken.clear()
        rooms, self._rooms = self._rooms, set()
        return rooms
