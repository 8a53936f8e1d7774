"""The events of a line and its invariants: the services compared with a naive model."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from msgspec.structs import replace

from frontrow.audit import audit
from frontrow.errors import RoomClosed
from frontrow.ids import PlaceRef
from frontrow.retention.prune_queries import queries as pruning
from frontrow.services import Services
from frontrow.waiting_room.latency_histogram import BOUNDS_MS
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.policy import AdaptivePolicy, Policy
from frontrow.waiting_room.settings import LineOrder
from frontrow.waiting_room.snapshot import Snapshot
from testkit.database import Database
from tests.buyers import ConcertOnSale, Owner, join, make_concert, pass_time, services_on
from tests.integration.databases import empty
from tests.integration.line_model import (
    CLAIM_SECONDS,
    CLOSES_AFTER_SECONDS,
    KEPT_SECONDS,
    OPENS_AFTER_SECONDS,
    POLICIES,
    SESSION_SECONDS,
    TARGET_MS,
    TURN_SECONDS,
    LineModel,
    Person,
)
from tests.integration.steps import only_if

PRICE = 1_000
SEATS = 100

CHOICES = st.integers(0, 99)


class LineMachine(RuleBasedStateMachine):
    """One line, in the services and in a model.

    Args:
        run: waits for a coroutine.
        database: an empty one, or with the data of the previous run.
        model: an empty one.
    """

    def __init__(
        self,
        run: Callable[[Coroutine[Any, Any, Any]], Any],
        database: Database,
        model: LineModel,
    ) -> None:
        super().__init__()
        self.run = run
        self.database = database
        self.model = model
        self.stack = AsyncExitStack()
        self.called_to = 0
        self.sold = 0
        self.services: Services
        self.elsewhere: Snapshot
        self.owner: Owner
        self.made: ConcertOnSale

    @property
    def line(self) -> Line:
        """Returns the line in this process's snapshot."""
        return self.services.rooms.snapshot.by_concert[self.made.concert_id]

    def pick(self, choice: int, *states: str) -> Person:
        """Picks a place in one of these states whose time has not ended."""
        there = self.model.in_time(*states)
        return there[choice % len(there)]

    # Events -------------------------------------------------------------------------------------

    @initialize(
        policy=POLICIES, order=st.sampled_from(["arrival", "draw"]), people=st.integers(0, 8)
    )
    def set_up(self, policy: Policy, order: LineOrder, people: int) -> None:
        """Puts a concert on sale; some users join at once."""
        if order == "draw":
            self.model.opens, self.model.drawn = OPENS_AFTER_SECONDS, None
        self.model.set_policy(policy)
        self.run(self._set_up(policy, order))
        self.join(people)

    async def _set_up(self, policy: Policy, order: LineOrder) -> None:
        self.owner = await asyncpg.connect(self.database.owner_url)
        self.stack.push_async_callback(self.owner.close)
        await empty(self.owner)
        self.services = await self.stack.enter_async_context(
            services_on(self.database, pool_connections=4)
        )
        self.elsewhere = Snapshot(self.services.pool)
        opens_at = datetime.now(UTC) + timedelta(seconds=OPENS_AFTER_SECONDS)
        self.made = await make_concert(
            self.services,
            policy=policy,
            order=order,
            opens_at=opens_at if order == "draw" else None,
            seats=SEATS,
            price=PRICE,
            claim_seconds=CLAIM_SECONDS,
            session_seconds=SESSION_SECONDS,
        )

    @rule(people=st.integers(1, 8))
    def join(self, people: int) -> None:
        """New users join at once; a closed line refuses them."""
        if self.model.is_closed():
            with pytest.raises(RoomClosed):
                self.run(join(self.services, self.made.concert_id))
            return
        places = self.run(_all(join(self.services, self.made.concert_id) for _ in range(people)))
        self.model.people += [Person(place) for place in sorted(places, key=lambda p: p.number)]

    @rule(choice=CHOICES)
    @only_if(lambda self: self.model.people and not self.model.is_closed())
    def join_again(self, choice: int) -> None:
        """A user joins again: for the live place, or for a new one after it."""
        last = self.model.latest_of(self.model.people[choice % len(self.model.people)])
        place = self.run(join(self.services, self.made.concert_id, last.place.user_id))
        if last in self.model.in_time("waiting", "admitted"):
            # The stored times have been aged since; it is still the same place.
            assert replace(place, issued_at=last.place.issued_at) == last.place
            return
        if last.state == "admitted":
            last.finish("expired", self.model.clock)
        self.model.people.append(Person(place))

    @rule(choices=st.lists(CHOICES, min_size=1, max_size=4))
    @only_if(lambda self: self.model.in_time("waiting", "admitted"))
    def leave(self, choices: Sequence[int]) -> None:
        """Some leave at once, waiting or admitted."""
        people = list({self.pick(choice, "waiting", "admitted") for choice in choices})
        self.run(_all(self.services.reservations.leave(person.place) for person in people))
        self.model.leave(people)

    @rule(choice=CHOICES)
    @only_if(lambda self: self.model.in_time("admitted"))
    def claim(self, choice: int) -> None:
        """An admitted user claims."""
        person = self.pick(choice, "admitted")
        self.run(self.services.rooms.enter(person.place))
        self.model.claim(person)

    @rule(choice=CHOICES)
    @only_if(lambda self: self.model.in_time("admitted") and self.sold < SEATS - 1)
    def pay(self, choice: int) -> None:
        """An admitted user buys a seat."""
        person = self.pick(choice, "admitted")
        self.sold += 1
        self.run(self._pay(person.place, self.sold))
        person.finish("paid", self.model.clock)

    async def _pay(self, place: PlaceRef, seat: int) -> None:
        await self.services.ledger.charge(place, PRICE, None)
        held, _ = await self.services.reservations.hold(place, self.made.shows[0], [seat], None)
        await self.services.payments.pay(place, held.reservation_id, PRICE, None)

    @rule(seconds=st.sampled_from([TURN_SECONDS, TURN_SECONDS, TURN_SECONDS, 1]))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.run(pass_time(self.database, seconds))
        self.model.clock += seconds

    @rule(step=st.sampled_from([1, 3, 1_000]))
    def prune(self, step: int) -> None:
        """Much later, old places are pruned, a number at a time."""
        self.pass_time(seconds=3 * TURN_SECONDS)
        self.model.pruned_to = self.model.prunable_to()
        self.run(self._prune(step))

    async def _prune(self, step: int) -> None:
        before = await self.owner.fetchval(
            "SELECT clock_timestamp() - make_interval(secs => $1)", KEPT_SECONDS
        )
        room_id = self.line.room_id
        while await pruning.prune_places(self.owner, room_id=room_id, before=before, limit=step):
            pass
        await pruning.prune_drawn(self.owner, room_id=room_id, after=0, limit=1_000)
        await pruning.prune_holds(self.owner, after=UUID(int=0), before=before, limit=1_000)

    @rule(policy=POLICIES)
    def change_policy(self, policy: Policy) -> None:
        """The operator sets another policy."""
        self.run(self._configure(policy=policy))
        self.model.set_policy(policy)

    @rule(closing=st.booleans())
    def close_or_reopen(self, closing: bool) -> None:
        """The operator sets the end of the line, or removes it, also after it."""
        end = datetime.now(UTC) + timedelta(seconds=CLOSES_AFTER_SECONDS)
        self.run(self._configure(closes_at=end if closing else None))
        self.model.closes = self.model.clock + CLOSES_AFTER_SECONDS if closing else float("inf")

    async def _configure(self, **changes: object) -> None:
        rooms = self.services.rooms
        settings = await rooms.settings(self.made.concert_id)
        await rooms.configure(self.made.concert_id, replace(settings, **changes))

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        """The operator pauses the line, or resumes it."""
        self.run(self.services.rooms.pause(self.made.concert_id, paused=paused))
        self.model.paused = paused

    @rule(milliseconds=st.sampled_from([None, 1, TARGET_MS * 2]))
    @only_if(lambda self: isinstance(self.model.policy, AdaptivePolicy))
    def measure(self, milliseconds: int | None) -> None:
        """The server answers nine holds with this latency, or none; the cap takes a step."""
        calls = [0] * (len(BOUNDS_MS) + 1)
        if milliseconds is not None:
            calls[sum(bound < milliseconds for bound in BOUNDS_MS)] = 9
        self.run(self.services.rooms.adapt(calls, 0))
        self.model.step(milliseconds)

    def _run_upkeep(self) -> None:
        """A line is drawn at its time; the next places are admitted."""
        if self.model.drawn is None and self.model.opens <= self.model.clock:
            self.run(self._draw())
        self.model.finish_ended()
        surely, at_most = self.model.admissible()
        called = self.run(self._admit())
        assert len(surely) <= len(called) <= len(at_most)
        assert called == at_most[: len(called)]
        self.model.call(called)
        self.run(self._check_admissions(len(called)))

    # Far more often than any other event, as in a server.
    upkeep = rule()(_run_upkeep)
    upkeep_again = rule()(_run_upkeep)
    upkeep_once_more = rule()(_run_upkeep)

    async def _draw(self) -> None:
        """Returns the numbers that joined before opening, in any order."""
        await self.services.rooms.snapshot.refresh()
        assert self.line.draw_due
        assert await self.services.rooms.draw(self.line)
        rows = await self.owner.fetch("SELECT number FROM drawn ORDER BY position")
        self.model.drawn = [row["number"] for row in rows]
        before_opening = await self.owner.fetchval(
            """SELECT count(*) FROM place JOIN waiting_room USING (room_id)
            WHERE joined_at < opens_at"""
        )
        assert sorted(self.model.drawn) == list(range(1, before_opening + 1))

    async def _admit(self) -> list[int]:
        """Returns the admitted numbers, in serving order."""
        await self.services.rooms.snapshot.refresh()
        await self.services.rooms.close(self.line)
        quiet = 0
        # If the last drawn places have left, a run only passes over them.
        while quiet < 2:
            done = await self.services.rooms.admit(self.line)
            quiet = 0 if done.admitted else quiet + 1
        rows = await self.owner.fetch(
            """SELECT number FROM place LEFT JOIN drawn USING (room_id, number)
            WHERE admitted_at IS NOT NULL ORDER BY coalesce(position, number)"""
        )
        return [number for (number,) in rows if not self.model.person(number).called]

    # Laws ---------------------------------------------------------------------------------------

    async def _check_admissions(self, called: int) -> None:
        """Compares their records: the count, not above the cap, nor above the rate."""
        rows = await self.owner.fetch("SELECT * FROM admission ORDER BY first_position")
        new = [row for row in rows if row["first_position"] > self.called_to]
        self.called_to = max([self.called_to, *(row["last_position"] for row in new)])
        assert sum(row["admitted"] for row in new) == called
        assert all(row["active"] <= self.model.cap() for row in new)
        rate = getattr(self.model.policy, "admit", None)
        if rate is not None:
            every = timedelta(seconds=getattr(self.model.policy, "every_seconds", 0))
            for last in new:
                window = (last["admitted_at"] - every, last["admitted_at"])
                inside = [r["admitted"] for r in rows if window[0] < r["admitted_at"] <= window[1]]
                assert sum(inside) <= rate

    @invariant()
    def agrees_with_the_model(self) -> None:
        """Places, line and this process's snapshot agree with the model."""
        self.run(self._check())

    @rule()
    def other_process_agrees(self) -> None:
        """Another process refreshes its snapshot after many changes, and agrees."""
        self.run(self.elsewhere.refresh())
        self._check_line(self.elsewhere.by_concert[self.made.concert_id])

    async def _check(self) -> None:
        model = self.model
        rows = await self.owner.fetch(
            "SELECT number, state::text, reason::text, left_seq FROM place ORDER BY number"
        )
        turn = {number: at for at, number in enumerate(model.left, 1)}
        assert [tuple(row) for row in rows] == [
            (number, model.person(number).state, model.person(number).reason, turn.get(number))
            for number in model.kept()
        ]
        room = await self.owner.fetchrow("SELECT * FROM waiting_room")
        # If the last drawn places have left, the line may have passed over them.
        least = max(model.serving(), model.last_passed())
        assert room["serving"] in {least, max(least, len(model.drawn or []))}
        passed = set(model.left) & set(model.order()[: room["serving"]])
        names = ("issued", "called", "left_count", "left_passed", "adaptive_cap", "pruned_to")
        assert [room[name] for name in names] == [
            len(model.people),
            sum(person.called for person in model.people),
            len(model.left),
            len(passed),
            model.adaptive_cap,
            model.pruned_to,
        ]
        await self.services.rooms.snapshot.refresh()
        self._check_line(self.line)

    def _check_line(self, line: Line) -> None:
        """Compares every waiting place of a snapshot: its position, and how many are ahead."""
        model = self.model
        waiting = [] if model.is_closed() else model.waiting()
        order = model.order()
        numbers = model.kept()
        assert line.state == model.state()
        assert (line.issued, line.waiting) == (len(model.people), len(waiting))
        assert [number for number in numbers if line.is_waiting(number)] == sorted(waiting)
        assert [line.position_of(number) for number in numbers] == [
            None if model.drawn is None else order.index(number) + 1 for number in numbers
        ]
        assert [line.ahead_of(number) for number in waiting] == list(map(model.ahead, waiting))
        called = [number for number in numbers if line.has_served(number)]
        assert called == sorted(set(order[: line.serving]) & set(numbers))

    def teardown(self) -> None:
        """At the end every place agrees with the model, and no invariant is broken."""
        self.run(self._end())

    async def _end(self) -> None:
        model = self.model
        async with self.stack:
            people = model.people
            statuses = await _all(self.services.rooms.status(person.place) for person in people)
            for status, person in zip(statuses, people, strict=True):
                over = model.is_overdue(person) or person.place.number <= model.pruned_to
                expected = ("finished", "expired") if over else (person.state, person.reason)
                assert (status.state, status.reason) == expected
                if person.state == "waiting" and not model.is_closed():
                    assert status.ahead == model.ahead(status.number)
            assert [found for found in await audit(self.owner) if found.violations] == []


async def _all(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    return list(await asyncio.gather(*coroutines))
