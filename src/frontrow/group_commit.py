"""Group commit: calls of one kind that wait at the same moment ride one database call.

A ``Lane`` is a queue with one worker: while a batch runs, new calls gather; when it ends, all of
them (up to a limit) go together, in order of arrival. A call's client may go away; its batch goes
on.

The lane knows nothing of the database. ``run`` takes the items of a batch and returns one outcome
for each; ``AGAIN`` for an item that met another item of its own batch and is to be run in the next
one. ``classify`` says what an exception of ``run`` means (``errors.Fault``).
"""

import asyncio
import enum
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, Generic, Protocol, TypeVar

from frontrow.errors import Fault, Overloaded, Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Again(enum.Enum):
    """The type of ``AGAIN``."""

    AGAIN = enum.auto()


AGAIN: Final = Again.AGAIN
"""The outcome of an item that has to be run in the next batch."""


class Decided(Protocol):
    """What a database function answers to one item."""

    @property
    def outcome(self) -> str:
        """What came of the item; ``again``: run it in the next batch."""


Answer = TypeVar("Answer", bound=Decided)


def with_again(answers: Iterable[Answer]) -> list[Answer | Again]:
    """Returns the answers to a batch, with ``AGAIN`` for each whose outcome is ``again``."""
    return [AGAIN if answer.outcome == "again" else answer for answer in answers]


class BatchObserver(Protocol):
    """Is told of every batch that ran."""

    def __call__(self, lane: str, items: int, seconds: float, /) -> None:
        """A batch of this lane ran, with so many items, for so long."""


class _Waiter(Generic[Item, Outcome]):
    """One call: what it asks, where its answer goes, and until when (loop time) it may wait."""

    __slots__ = ("answer", "deadline", "item")

    def __init__(self, item: Item, answer: "asyncio.Future[Outcome]", deadline: float) -> None:
        self.item = item
        self.answer = answer
        self.deadline = deadline

    def give(self, outcome: Outcome) -> None:
        """Answers the call."""
        if not self.answer.done():
            self.answer.set_result(outcome)

    @property
    def refused(self) -> bool:
        """Whether its caller has been told that it may not have run; one who went away has not."""
        return self.answer.done() and not self.answer.cancelled()

    def refuse(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Lane(Generic[Item, Outcome]):
    """One kind of call.

    One batch at a time keeps the order of arrival; a second one in flight keeps the database at
    work while the process reads and answers. Then the first thing in a batch may be decided before
    the last thing of the batch sent before it.

    Args:
        name: for metrics.
        run: runs a batch; gives one outcome (or ``AGAIN``) for each item, in their order.
        classify: what an exception of ``run`` means.
        batch_items: most items in a batch.
        queue_items: most calls waiting; one more is refused with ``Overloaded``.
        deadline_seconds: longest wait of a call. In the queue it ends with ``Overloaded`` and is
            not run later; in a running batch with ``Unavailable``, and the batch goes on.
        in_flight: most batches of this lane that run at a time.
        observe: told of every batch.
    """

    # Between two tries of the same batch after a fault.
    _FIRST_PAUSE_SECONDS = 0.01
    _LONGEST_PAUSE_SECONDS = 0.25

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | Again]]],
        *,
        classify: Callable[[Exception], Fault],
        batch_items: int,
        queue_items: int,
        deadline_seconds: float,
        in_flight: int = 1,
        observe: BatchObserver | None = None,
    ) -> None:
        self.name = name
        self._run = run
        self._classify = classify
        self._batch_items = batch_items
        self._queue_items = queue_items
        self._deadline_seconds = deadline_seconds
        self._observe = observe
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: deque[_Waiter[Item, Outcome]] = deque()
        self._in_flight = in_flight
        self._running: list[Sequence[_Waiter[Item, Outcome]]] = []
        # A worker is at work until it finds the queue empty; its task is done only a moment later.
        self._at_work = 0
        self._workers: set[asyncio.Task[None]] = set()
        self._watch: asyncio.TimerHandle | None = None

    def submit(self, item: Item) -> "asyncio.Future[Outcome]":
        """Runs one item with the next batch; await what comes back for its outcome.

        Raises:
            Overloaded: it was not run: the queue is full, or it waited in it past its deadline.
            Unavailable: the database was away past the deadline; it may or may not have run.
        """
        if len(self._queue) >= self._queue_items:
            raise Overloaded
        loop = self._loop or self._start_in(asyncio.get_running_loop())
        answer: asyncio.Future[Outcome] = loop.create_future()
        deadline = loop.time() + self._deadline_seconds
        self._queue.append(_Waiter(item, answer, deadline))
        if self._at_work < self._in_flight:
            self._at_work += 1
            worker = loop.create_task(self._work(), name=f"lane {self.name}")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        if self._watch is None:
            self._watch = loop.call_at(deadline, self._refuse_overdue)
        return answer

    def _start_in(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        self._loop = loop
        return loop

    @property
    def waiting(self) -> int:
        """How many calls wait for their batch."""
        return len(self._queue)

    async def drained(self) -> None:
        """Waits until nothing waits or runs any more."""
        while self._workers:
            await asyncio.wait(self._workers)

    async def _work(self) -> None:
        try:
            while self._queue:
                items = min(len(self._queue), self._batch_items)
                batch = [self._queue.popleft() for _ in range(items)]
                self._running.append(batch)
                try:
                    again = await self._settle(batch)
                finally:
                    self._running.remove(batch)
                self._queue.extendleft(reversed(again))
        finally:
            self._at_work -= 1

    async def _settle(
        self, batch: Sequence[_Waiter[Item, Outcome]]
    ) -> list[_Waiter[Item, Outcome]]:
        """Runs a batch until each of its calls has an answer. Returns those to be run again."""
        pause = self._FIRST_PAUSE_SECONDS
        while True:
            started = time.perf_counter()
            try:
                outcomes = await self._run([waiter.item for waiter in batch])
                if len(outcomes) != len(batch):
                    message = f"{len(outcomes)} outcomes for {len(batch)} items in {self.name}"
                    raise RuntimeError(message)  # noqa: TRY301 - a broken statement is split like any other
            except Exception as error:  # noqa: BLE001 - whatever it is, every call gets its answer
                fault = self._classify(error)
                if fault is Fault.ITEM:
                    return await self._split(batch, error)
                if all(waiter.answer.done() for waiter in batch):
                    return []
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._LONGEST_PAUSE_SECONDS)
            else:
                if self._observe:
                    self._observe(self.name, len(batch), time.perf_counter() - started)
                return self._answer(batch, outcomes)

    async def _split(
        self, batch: Sequence[_Waiter[Item, Outcome]], error: Exception
    ) -> list[_Waiter[Item, Outcome]]:
        """One item makes the statement fail: its neighbours must not."""
        if len(batch) == 1:
            batch[0].refuse(error)
            return []
        middle = len(batch) // 2
        first = await self._settle(batch[:middle])
        return first + await self._settle(batch[middle:])

    @staticmethod
    def _answer(
        batch: Sequence[_Waiter[Item, Outcome]],
        outcomes: Sequence[Outcome | Again],
    ) -> list[_Waiter[Item, Outcome]]:
        again = []
        for waiter, outcome in zip(batch, outcomes, strict=True):
            if outcome is not AGAIN:
                waiter.give(outcome)
            elif not waiter.refused:
                again.append(waiter)
        return again

    def _refuse_overdue(self) -> None:
        """Answers the calls whose deadline has passed, and sets the watch for the next one."""
        now = asyncio.get_running_loop().time()
        running = [waiter for batch in self._running for waiter in batch]
        for waiter in running:
            if waiter.deadline <= now:
                waiter.refuse(Unavailable())
        # What was sent back is older than those behind it. Two batches may send theirs back in
        # either order, so an item may be refused as late as one batch after its deadline.
        while self._queue and self._queue[0].deadline <= now:
            self._queue.popleft().refuse(Overloaded())
        pending = [w.deadline for w in running if not w.answer.done()]
        pending += [w.deadline for w in islice(self._queue, 1)]
        self._watch = (
            asyncio.get_running_loop().call_at(min(pending), self._refuse_overdue)
            if pending
            else None
        )


class Lanes:
    """Opens lanes with the same limits, and knows them all."""

    def __init__(
        self,
        *,
        classify: Callable[[Exception], Fault],
        batch_items: int,
        queue_items: int,
        deadline_seconds: float,
        observe: BatchObserver | None = None,
    ) -> None:
        self._classify = classify
        self._batch_items = batch_items
        self._queue_items = queue_items
        self._deadline_seconds = deadline_seconds
        self._observe = observe
        self._lanes: list[Lane[Any, Any]] = []

    def open(
        self,
        name: str,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | Again]]],
        *,
        in_flight: int = 2,
    ) -> Lane[Item, Outcome]:
        """A new lane. ``name`` is for the metrics; several lanes may share it."""
        lane = Lane(
            name,
            run,
            classify=self._classify,
            batch_items=self._batch_items,
            queue_items=self._queue_items,
            deadline_seconds=self._deadline_seconds,
            in_flight=in_flight,
            observe=self._observe,
        )
        self._lanes.append(lane)
        return lane

    async def drained(self) -> None:
        """Waits until no lane has anything left."""
        for lane in self._lanes:
            await lane.drained()
