"""Group commit: calls of one kind that wait at the same time share one database call.

A ``Lane`` is a queue with a worker. While a batch runs, new calls queue; when it ends, all of them
(up to a limit) form the next batch, in order of arrival. If a call's client disconnects, its batch
still runs.

A lane does not know the database. ``run`` takes the items of a batch and returns an outcome for
each, or ``AGAIN`` for an item that conflicts with another item of its batch and must run in the
next one. ``classify`` returns the meaning of an exception of ``run`` (``errors.Fault``).
"""

import asyncio
import enum
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from frontrow.errors import DomainError, Fault, Overloaded, Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Again(enum.Enum):
    """The type of ``AGAIN``."""

    AGAIN = enum.auto()


AGAIN: Final = Again.AGAIN
"""The outcome of an item that must run in the next batch."""


class Decided(Protocol):
    """The answer of a database function to one item."""

    @property
    def outcome(self) -> str:
        """The outcome of the item; ``again``: run it in the next batch."""


Answer = TypeVar("Answer", bound=Decided)


def with_again(answers: Iterable[Answer]) -> list[Answer | Again]:
    """Returns the answers to a batch, with ``AGAIN`` for each whose outcome is ``again``."""
    return [AGAIN if answer.outcome == "again" else answer for answer in answers]


class BatchObserver(Protocol):
    """Called after every batch."""

    def __call__(self, lane: str, items: int, seconds: float, /) -> None:
        """Records a batch of this lane: its number of items and its duration."""


FaultObserver: TypeAlias = Callable[[str, Exception], None]
"""Called with the name of a lane and a fault of the database."""


class _Waiter(Generic[Item, Outcome]):
    """One call: its item, the future of its answer, and its deadline in loop time."""

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
        """Whether the caller has received an error; false if the caller disconnected."""
        return self.answer.done() and not self.answer.cancelled()

    def refuse(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Lane(Generic[Item, Outcome]):
    """One kind of call.

    With one batch in flight the order of arrival is kept. A second one keeps the database busy
    while this process reads results and answers; then an item may be decided before the last item
    of the batch before it.

    Args:
        name: for metrics.
        run: runs a batch; returns an outcome (or ``AGAIN``) for each item, in their order.
        classify: returns the meaning of an exception of ``run``.
        batch_items: maximum items in a batch.
        queue_items: maximum waiting calls; further calls are refused with ``Overloaded``.
        deadline_seconds: maximum wait of a call. A queued call is then refused with ``Overloaded``
            and never run; one in a running batch with ``Unavailable``. The batch continues.
        in_flight: maximum batches of this lane that run at the same time.
        observe: called after every batch.
        note_fault: called with each exception of ``run`` that isn't an item's.
        is_away: whether the database doesn't answer; calls are then refused with ``Unavailable``
            where they would be refused with ``Overloaded``.
    """

    _UNAVAILABLE_SECONDS = 1.0  # a database that has just become the primary begins to write
    # Between two attempts at the same batch after a fault.
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
        note_fault: FaultObserver | None = None,
        is_away: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self._run = run
        self._classify = classify
        self._batch_items = batch_items
        self._queue_items = queue_items
        self._deadline_seconds = deadline_seconds
        self._observe = observe
        self._note_fault = note_fault
        self._is_away = is_away
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: deque[_Waiter[Item, Outcome]] = deque()
        self._in_flight = in_flight
        self._running: list[Sequence[_Waiter[Item, Outcome]]] = []
        # A worker counts until it finds the queue empty; its task ends only a moment later.
        self._at_work = 0
        self._workers: set[asyncio.Task[None]] = set()
        self._watch: asyncio.TimerHandle | None = None

    def submit(self, item: Item) -> "asyncio.Future[Outcome]":
        """Queues an item for the next batch. Returns the future of its outcome.

        Raises:
            Overloaded: it was not run: the queue is full, or its deadline passed in the queue.
            Unavailable: the same while the database is away; or the database was away until the
                deadline, and it may or may not have run.
        """
        if len(self._queue) >= self._queue_items:
            raise self._refusal()
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
        """The number of queued calls."""
        return len(self._queue)

    async def drained(self) -> None:
        """Waits until nothing is queued or running."""
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
        """Runs a batch until each call has an answer. Returns the calls to run again."""
        pause = self._FIRST_PAUSE_SECONDS
        first_started = time.perf_counter()
        while True:
            started = time.perf_counter()
            try:
                outcomes = await self._run([waiter.item for waiter in batch])
                if len(outcomes) != len(batch):
                    message = f"{len(outcomes)} outcomes for {len(batch)} items in {self.name}"
                    raise RuntimeError(message)  # noqa: TRY301 - a broken statement is split like any other
            except Exception as error:  # noqa: BLE001 - every call gets an answer
                fault = self._classify(error)
                if fault is Fault.ITEM:
                    return await self._split(batch, error)
                self._note(batch, fault, error, time.perf_counter() - first_started)
                if all(waiter.answer.done() for waiter in batch):
                    return []
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._LONGEST_PAUSE_SECONDS)
            else:
                if self._observe:
                    self._observe(self.name, len(batch), time.perf_counter() - started)
                return self._answer(batch, outcomes)

    def _note(
        self,
        batch: Sequence[_Waiter[Item, Outcome]],
        fault: Fault,
        error: Exception,
        seconds: float,
    ) -> None:
        """Records a fault of a batch, and refuses its calls if it fails for this long."""
        if self._note_fault is not None and fault is not Fault.CONFLICT:
            self._note_fault(self.name, error)
        if fault is Fault.UNAVAILABLE and seconds >= self._UNAVAILABLE_SECONDS:
            for waiter in batch:
                waiter.refuse(Unavailable())

    async def _split(
        self, batch: Sequence[_Waiter[Item, Outcome]], error: Exception
    ) -> list[_Waiter[Item, Outcome]]:
        """Runs the halves of a failed batch, so that one item doesn't fail the others."""
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

    def _refusal(self) -> DomainError:
        """Returns the error for a call that was not run."""
        return Unavailable() if self._is_away() else Overloaded()

    def _refuse_overdue(self) -> None:
        """Refuses the calls whose deadline has passed, and schedules the next check."""
        now = asyncio.get_running_loop().time()
        running = [waiter for batch in self._running for waiter in batch]
        for waiter in running:
            if waiter.deadline <= now:
                waiter.refuse(Unavailable())
        # Calls to run again are at the front and older than those behind them. Two batches return
        # theirs in either order, so a call may be refused one batch later than its deadline.
        while self._queue and self._queue[0].deadline <= now:
            self._queue.popleft().refuse(self._refusal())
        pending = [w.deadline for w in running if not w.answer.done()]
        pending += [w.deadline for w in islice(self._queue, 1)]
        self._watch = (
            asyncio.get_running_loop().call_at(min(pending), self._refuse_overdue)
            if pending
            else None
        )


class Lanes:
    """Opens lanes with the same limits, and drains them together."""

    def __init__(
        self,
        *,
        classify: Callable[[Exception], Fault],
        batch_items: int,
        queue_items: int,
        deadline_seconds: float,
        observe: BatchObserver | None = None,
        note_fault: FaultObserver | None = None,
        is_away: Callable[[], bool] = lambda: False,
    ) -> None:
        self._classify = classify
        self._batch_items = batch_items
        self._queue_items = queue_items
        self._deadline_seconds = deadline_seconds
        self._observe = observe
        self._note_fault = note_fault
        self._is_away = is_away
        self._lanes: list[Lane[Any, Any]] = []

    def open(
        self,
        name: str,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | Again]]],
        *,
        in_flight: int = 2,
    ) -> Lane[Item, Outcome]:
        """Opens a lane. ``name`` is its label in the metrics; several lanes may share it."""
        lane = Lane(
            name,
            run,
            classify=self._classify,
            batch_items=self._batch_items,
            queue_items=self._queue_items,
            deadline_seconds=self._deadline_seconds,
            in_flight=in_flight,
            observe=self._observe,
            note_fault=self._note_fault,
            is_away=self._is_away,
        )
        self._lanes.append(lane)
        return lane

    async def drained(self) -> None:
        """Waits until no lane has anything queued or running."""
        for lane in self._lanes:
            await lane.drained()
