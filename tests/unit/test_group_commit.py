"""Lanes: which calls share a batch, and that each call gets exactly its own answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.errors import Fault, Overloaded, Unavailable
from frontrow.group_commit import AGAIN, Again, Lane, Lanes

LONG_SECONDS = 60.0
SOON_SECONDS = 0.02


class LostError(Exception):
    """The connection was lost."""


class ConflictError(Exception):
    """The database rolled the statement back because of a concurrent one."""


class BadItemError(Exception):
    """The item makes the statement fail."""


def classify(error: Exception) -> Fault:
    """Classifies the errors above; any other error is the statement's own."""
    match error:
        case LostError():
            return Fault.LOST
        case ConflictError():
            return Fault.CONFLICT
    return Fault.ITEM


async def ask(lane: Lane[int, int], item: int) -> int:
    """One caller."""
    return await lane.submit(item)


@dataclass
class Scene:
    """A lane whose batches are recorded; ``gate`` blocks them, ``replies`` answers them."""

    batches: list[list[int]] = field(default_factory=list)
    replies: list[Exception | Sequence[int | Again]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    observed: list[tuple[str, int, float]] = field(default_factory=list)
    callers: list["asyncio.Task[int]"] = field(default_factory=list)

    def lane(
        self,
        *,
        batch_items: int = 100,
        queue_items: int = 100,
        deadline_seconds: float = LONG_SECONDS,
        is_away: bool = False,
    ) -> Lane[int, int]:
        """Returns the lane; without a reply, a batch answers ten times each item."""
        return Lane(
            "test",
            self.run,
            classify=classify,
            batch_items=batch_items,
            queue_items=queue_items,
            deadline_seconds=deadline_seconds,
            observe=lambda *seen: self.observed.append(seen),
            is_away=lambda: is_away,
        )

    async def run(self, items: Sequence[int]) -> Sequence[int | Again]:
        """One batch."""
        self.batches.append(list(items))
        self.entered.set()
        await self.gate.wait()
        reply = self.replies.pop(0) if self.replies else [10 * item for item in items]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def call(self, lane: Lane[int, int], *items: int) -> list["asyncio.Task[int]"]:
        """Starts callers that submit these items in this order once the loop runs."""
        called = [asyncio.create_task(ask(lane, item)) for item in items]
        self.callers += called
        return called


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A scene with an open gate; no caller remains blocked afterwards."""
    made = Scene()
    made.gate.set()
    yield made
    made.gate.set()
    for caller in made.callers:
        caller.cancel()
    await asyncio.gather(*made.callers, return_exceptions=True)


async def answers(callers: Sequence["asyncio.Task[int]"]) -> list[int | BaseException]:
    """Returns each caller's answer or error."""
    return await asyncio.gather(*callers, return_exceptions=True)


async def behind_a_running_batch(scene: Scene, lane: Lane[int, int], *items: int) -> None:
    """Blocks item 0 in a running batch, with the others in the queue."""
    scene.gate.clear()
    scene.call(lane, 0)
    await scene.entered.wait()
    scene.call(lane, *items)
    await asyncio.sleep(0)
    assert lane.waiting == len(items)


async def test_simultaneous_calls_share_a_batch(scene: Scene) -> None:
    """All waiting items share a batch, in order of arrival; each gets its own answer."""
    lane = scene.lane()
    assert await answers(scene.call(lane, 3, 1, 2)) == [30, 10, 20]
    assert scene.batches == [[3, 1, 2]]


async def test_calls_during_a_batch_form_the_next_one(scene: Scene) -> None:
    """Items that arrive during a batch form the next one."""
    lane = scene.lane()
    await behind_a_running_batch(scene, lane, 1, 2, 3)
    scene.gate.set()
    assert await answers(scene.callers) == [0, 10, 20, 30]
    assert scene.batches == [[0], [1, 2, 3]]


async def test_batches_have_a_largest_size(scene: Scene) -> None:
    """Items above the largest size run in the following batch, in order."""
    lane = scene.lane(batch_items=2)
    assert await answers(scene.call(lane, 1, 2, 3, 4, 5)) == [10, 20, 30, 40, 50]
    assert scene.batches == [[1, 2], [3, 4], [5]]


async def test_repeated_item_is_first_in_the_next_batch(scene: Scene) -> None:
    """An item that conflicted runs again before later items, in its order."""
    lane = scene.lane()
    scene.gate.clear()
    scene.replies = [[10, AGAIN, 30, AGAIN]]
    scene.call(lane, 1, 2, 3, 4)
    await scene.entered.wait()
    scene.call(lane, 5, 6)
    await asyncio.sleep(0)
    scene.gate.set()
    assert await answers(scene.callers) == [10, 20, 30, 40, 50, 60]
    assert scene.batches == [[1, 2, 3, 4], [2, 4, 5, 6]]


async def test_repeated_item_counts_against_the_batch_size(scene: Scene) -> None:
    """A repeated item leaves less room for later ones."""
    lane = scene.lane(batch_items=2)
    scene.replies = [[10, AGAIN]]
    assert await answers(scene.call(lane, 1, 2, 3, 4)) == [10, 20, 30, 40]
    assert scene.batches == [[1, 2], [2, 3], [4]]


async def test_repeated_items_of_a_split_batch_keep_their_order(scene: Scene) -> None:
    """Repeated items of both halves return in order of arrival."""
    lane = scene.lane()
    scene.replies = [BadItemError(), [AGAIN, 20], [30, AGAIN]]
    assert await answers(scene.call(lane, 1, 2, 3, 4)) == [10, 20, 30, 40]
    assert scene.batches == [[1, 2, 3, 4], [1, 2], [3, 4], [1, 4]]


async def test_full_queue_refuses(scene: Scene) -> None:
    """One item above the queue's limit is overloaded immediately and never runs."""
    lane = scene.lane(queue_items=2)
    await behind_a_running_batch(scene, lane, 1, 2)
    with pytest.raises(Overloaded):
        await lane.submit(3)
    scene.gate.set()
    assert await answers(scene.callers) == [0, 10, 20]
    assert scene.batches == [[0], [1, 2]]


async def test_call_past_its_deadline_in_the_queue_is_overloaded(scene: Scene) -> None:
    """A call that exceeds its deadline in the queue is overloaded and never runs."""
    lane = scene.lane(deadline_seconds=SOON_SECONDS)
    await behind_a_running_batch(scene, lane, 1, 2)
    refused = await answers(scene.callers)
    assert [type(answer) for answer in refused] == [Unavailable, Overloaded, Overloaded]
    assert lane.waiting == 0
    scene.gate.set()
    await lane.drained()
    assert scene.batches == [[0]]


async def test_refusals_are_unavailable_while_the_database_is_away(scene: Scene) -> None:
    """A full queue and an expired deadline aren't reported as an overload."""
    lane = scene.lane(queue_items=1, deadline_seconds=SOON_SECONDS, is_away=True)
    await behind_a_running_batch(scene, lane, 1)
    with pytest.raises(Unavailable):
        await lane.submit(2)
    refused = await answers(scene.callers)
    assert [type(answer) for answer in refused] == [Unavailable, Unavailable]


async def test_call_past_its_deadline_in_a_batch_is_unavailable(scene: Scene) -> None:
    """A call in a slow batch is unavailable; the batch continues and later batches run."""
    lane = scene.lane(deadline_seconds=SOON_SECONDS)
    scene.gate.clear()
    assert [type(a) for a in await answers(scene.call(lane, 1))] == [Unavailable]
    scene.gate.set()
    assert await lane.submit(2) == 20
    assert scene.batches == [[1], [2]]
    assert [items for _, items, _ in scene.observed] == [1, 1]


async def test_each_call_has_its_own_deadline(scene: Scene) -> None:
    """A later call in the queue is refused later, and is answered if it runs by then."""
    lane = scene.lane(deadline_seconds=0.2)
    await behind_a_running_batch(scene, lane, 1)
    await asyncio.wait(scene.callers[:1], timeout=0.1)
    scene.call(lane, 2)
    assert isinstance((await answers(scene.callers[1:2]))[0], Overloaded)
    scene.gate.set()
    assert await scene.callers[2] == 20
    assert scene.batches == [[0], [2]]


async def test_repeated_item_past_its_deadline_is_dropped(scene: Scene) -> None:
    """A repeated item whose deadline has passed is dropped: its caller has been answered."""
    lane = scene.lane(deadline_seconds=SOON_SECONDS)
    scene.gate.clear()
    scene.replies = [[AGAIN]]
    assert [type(a) for a in await answers(scene.call(lane, 1))] == [Unavailable]
    scene.gate.set()
    await lane.drained()
    assert scene.batches == [[1]]


@pytest.mark.parametrize("error", [LostError(), ConflictError()])
async def test_lost_or_conflicting_batch_is_repeated(scene: Scene, error: Exception) -> None:
    """After a lost connection or a conflict the same items run again, in the same order."""
    lane = scene.lane()
    scene.replies = [error, error, error]
    callers = scene.call(lane, 2, 1)
    await scene.entered.wait()
    callers += scene.call(lane, 3)
    assert await answers(callers) == [20, 10, 30]
    assert scene.batches == [[2, 1]] * 4 + [[3]]


async def test_lost_batch_is_unavailable_at_the_deadline(scene: Scene) -> None:
    """An unavailable database makes a call unavailable; then the lane drops the batch."""
    lane = scene.lane(deadline_seconds=SOON_SECONDS)
    scene.replies = [LostError() for _ in range(1000)]
    assert [type(a) for a in await answers(scene.call(lane, 1, 2))] == [Unavailable, Unavailable]
    await lane.drained()
    tried = len(scene.batches)
    assert tried > 1
    assert scene.batches == [[1, 2]] * tried
    scene.replies.clear()
    assert await lane.submit(3) == 30


@pytest.mark.parametrize("bad", [{0}, {7}, {3}, {2, 3}, {0, 4, 7}, set(range(8))])
async def test_only_the_bad_item_fails(scene: Scene, bad: set[int]) -> None:
    """A batch with a bad item is halved until that item is alone."""

    async def run(items: Sequence[int]) -> list[int]:
        scene.batches.append(list(items))
        if bad & set(items):
            raise BadItemError
        return [10 * item for item in items]

    lane = Lane(
        "test", run, classify=classify, batch_items=8, queue_items=8, deadline_seconds=LONG_SECONDS
    )
    given_out = await answers(scene.call(lane, *range(8)))
    assert [isinstance(answer, BadItemError) for answer in given_out] == [
        item in bad for item in range(8)
    ]
    assert all(answer == 10 * item for item, answer in enumerate(given_out) if item not in bad)
    worked = [item for batch in scene.batches if not bad & set(batch) for item in batch]
    assert worked == [item for item in range(8) if item not in bad]


@pytest.mark.parametrize("outcomes", [[], [10], [10, 20, 30]])
async def test_batch_with_a_wrong_number_of_outcomes_is_split(
    scene: Scene, outcomes: list[int]
) -> None:
    """Answers that can't be assigned are dropped: the batch is split."""
    lane = scene.lane()
    scene.replies = [outcomes]
    assert await answers(scene.call(lane, 1, 2)) == [10, 20]
    assert scene.batches == [[1, 2], [1], [2]]


async def test_item_with_a_wrong_number_of_outcomes_fails(scene: Scene) -> None:
    """A single item without an outcome fails with the reason."""
    lane = scene.lane()
    scene.replies = [[]]
    with pytest.raises(RuntimeError, match="0 outcomes for 1 items in test"):
        await lane.submit(1)


async def test_cancelled_caller_does_not_cancel_its_item(scene: Scene) -> None:
    """Its item runs, in a batch and in the queue; the other callers get their answers."""
    lane = scene.lane()
    await behind_a_running_batch(scene, lane, 1, 2)
    for gone in (scene.callers[0], scene.callers[1]):
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
    scene.gate.set()
    assert await scene.callers[2] == 20
    assert scene.batches == [[0], [1, 2]]


async def test_item_of_a_cancelled_caller_is_repeated(scene: Scene) -> None:
    """A cancelled call is not undone: its item runs until it has an outcome."""
    lane = scene.lane()
    scene.gate.clear()
    scene.replies = [[AGAIN]]
    (gone,) = scene.call(lane, 1)
    await scene.entered.wait()
    gone.cancel()
    scene.gate.set()
    await lane.drained()
    assert scene.batches == [[1], [1]]


async def test_drain_waits_for_all_batches(scene: Scene) -> None:
    """Draining waits for the running batch and the whole queue."""
    lane = scene.lane(batch_items=1)
    await lane.drained()
    await behind_a_running_batch(scene, lane, 1, 2)
    draining = asyncio.create_task(lane.drained())
    await asyncio.sleep(0)
    assert not draining.done()
    scene.gate.set()
    await draining
    assert scene.batches == [[0], [1], [2]]
    assert lane.waiting == 0


async def test_successful_batches_are_observed(scene: Scene) -> None:
    """Every successful batch is reported with its lane and size; a failed one is not."""
    lane = scene.lane(batch_items=2)
    scene.replies = [LostError()]
    await answers(scene.call(lane, 1, 2, 3))
    assert [(name, items) for name, items, _ in scene.observed] == [("test", 2), ("test", 1)]
    assert all(seconds >= 0 for _, _, seconds in scene.observed)


async def test_lane_limits_its_batches_in_flight(scene: Scene) -> None:
    """A lane with two batches in flight never runs a third."""
    lanes = Lanes(classify=classify, batch_items=1, queue_items=10, deadline_seconds=LONG_SECONDS)
    lane: Lane[int, int] = lanes.open("two", scene.run, in_flight=2)
    scene.gate.clear()
    callers = scene.call(lane, 1, 2, 3)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert scene.batches == [[1], [2]]
    assert lane.waiting == 1
    scene.gate.set()
    await lanes.drained()
    assert scene.batches == [[1], [2], [3]]
    assert len(await asyncio.gather(*callers)) == 3


async def test_lanes_share_limits_and_drain_together(scene: Scene) -> None:
    """Lanes are independent, with the same limits; all are drained at once."""
    lanes = Lanes(classify=classify, batch_items=1, queue_items=10, deadline_seconds=LONG_SECONDS)
    one: Lane[int, int] = lanes.open("one", scene.run, in_flight=1)
    two: Lane[int, int] = lanes.open("two", scene.run, in_flight=1)
    scene.gate.clear()
    callers = scene.call(one, 1, 2) + scene.call(two, 3)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert scene.batches == [[1], [3]]
    scene.gate.set()
    await lanes.drained()
    assert await answers(callers) == [10, 20, 30]
    assert scene.batches == [[1], [3], [2]]


class FaultyBatches:
    """Runs batches as a script says, and counts the runs of each item."""

    def __init__(self, script: list[str], bad: set[int]) -> None:
        self.script = list(script)
        self.bad = bad
        self.ran: Counter[int] = Counter()
        self.lost: Counter[int] = Counter()
        """How often an item ran although its answer was lost."""

    async def run(self, items: Sequence[int]) -> list[int | Again]:
        """Runs one batch; an item's answer is its negative."""
        await asyncio.sleep(0)
        if self.bad & set(items):
            raise BadItemError
        step = self.script.pop(0) if self.script else "work"
        if step == "lost before":
            raise LostError
        if step == "conflict":
            raise ConflictError
        if step == "again":
            self.ran.update(items[::2])
            return [AGAIN if at % 2 else -item for at, item in enumerate(items)]
        self.ran.update(items)
        if step in ("lost after", "short"):
            self.lost.update(items)
            if step == "lost after":
                raise LostError
            return []
        return [-item for item in items]

    def judge(self, item: int, answer: int | BaseException, gone: set[int]) -> None:
        """Asserts that the caller of the item may get this answer."""
        kept = self.ran[item] - self.lost[item]
        match answer:
            case int():
                assert (answer, kept) == (-item, 1)
            case asyncio.CancelledError():
                assert item in gone
                assert kept <= 1
            case BadItemError():
                assert item in self.bad
                assert kept == 0
            case _:
                # It was alone in its batch and its outcome was missing ("short").
                assert isinstance(answer, RuntimeError)
                assert self.lost[item]
                assert kept == 0


@given(
    batch_items=st.integers(1, 5),
    waves=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    script=st.lists(
        st.sampled_from(["work", "lost before", "lost after", "conflict", "short", "again"]),
        max_size=12,
    ),
    bad=st.sets(st.integers(0, 24), max_size=4),
    gone=st.sets(st.integers(0, 24), max_size=4),
)
@settings(deadline=None, max_examples=150)
def test_every_call_gets_exactly_its_own_answer(
    batch_items: int, waves: list[int], script: list[str], bad: set[int], gone: set[int]
) -> None:
    """Each caller gets its own answer, and an answered item ran once, whatever happens to batches.

    Only an item whose answer was lost runs more often.
    """
    trouble = FaultyBatches(script, bad)

    async def run_script() -> list[int | BaseException]:
        lane = Lane(
            "test",
            trouble.run,
            classify=classify,
            batch_items=batch_items,
            queue_items=1000,
            deadline_seconds=LONG_SECONDS,
        )
        lane._FIRST_PAUSE_SECONDS = lane._LONGEST_PAUSE_SECONDS = 0.0
        callers: list[asyncio.Task[int]] = []
        for wave in waves:
            callers += [asyncio.create_task(ask(lane, len(callers) + at)) for at in range(wave)]
            await asyncio.sleep(0)
            for item in gone & set(range(len(callers))):
                callers[item].cancel()
        got = await asyncio.gather(*callers, return_exceptions=True)
        await lane.drained()
        return got

    got = asyncio.run(run_script())
    assert len(got) == sum(waves)
    for item, answer in enumerate(got):
        trouble.judge(item, answer, gone)
