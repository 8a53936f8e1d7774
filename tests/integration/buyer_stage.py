"""The basis of the machine for buyers, with its lines: services of two processes and a model."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

import asyncpg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from frontrow.errors import AlreadyCheckedIn, DomainError, RateLimited
from frontrow.services import Services
from frontrow.waiting_room.policy import OpenPolicy, Policy
from frontrow.waiting_room.settings import LineOrder
from testkit.database import Database
from tests.buyers import ConcertOnSale, Owner, join, make_concert, pass_time, services_on
from tests.integration.buyer_model import REFUNDABLE_SECONDS, BuyerModel
from tests.integration.buyer_seats import (
    CLAIM_SECONDS,
    HOLD_SECONDS,
    OPENS_SECONDS,
    PRICE,
    SEAT_LIMIT,
    SEATS,
    SESSION_SECONDS,
    TURN_SECONDS,
    UNPAID_HOLDS,
    UNPAID_SECONDS,
    Reply,
)
from tests.integration.buyer_world import Concert, Hold, Place, Show, User
from tests.integration.databases import empty
from tests.integration.steps import only_if

CHOICES = st.integers(0, 99)
RARELY = st.sampled_from([False] * 5 + [True])
MOSTLY = 8
"""How much more often live ones are picked than others."""
Answer = TypeVar("Answer")
Thing = TypeVar("Thing")

# The tolerance between the model's times and the database's.
PLAY_SECONDS = 100


class Seen(NamedTuple):
    """How often each answer was given, and how many rows each invariant of the audit checked."""

    answers: Counter[str]
    checked_rows: Counter[str]


class BuyerStage(RuleBasedStateMachine):
    """Buyers of two concerts, in the services of two processes and in a model.

    Args:
        run: waits for a coroutine.
        database: an empty one, or with the data of the previous run.
        model: an empty one.
        seen: the counts so far, over all runs.
    """

    def __init__(
        self,
        run: Callable[[Coroutine[Any, Any, Any]], Any],
        database: Database,
        model: BuyerModel,
        seen: Seen,
    ) -> None:
        super().__init__()
        self.run = run
        self.database = database
        self.model = model
        self.seen = seen
        self.stack = AsyncExitStack()
        self.turn = 0
        self.last_user: User | None = None
        """The last acting user."""
        self.asked: list[Callable[[], object]] = []
        """The calls so far."""
        self.processes: list[Services] = []
        self.owner: Owner

    # Calls --------------------------------------------------------------------------------------

    def process(self) -> Services:
        """Returns the services of the next process: the two take turns."""
        self.turn += 1
        return self.processes[self.turn % 2]

    def other_process(self) -> Services:
        """Returns the services of the process that did not get the last call."""
        return self.processes[(self.turn + 1) % 2]

    def ask(self, expected: Reply, call: Callable[[Services], Awaitable[Any]]) -> Any:
        """Calls one process, which must answer as the model does. Returns a success's result."""
        (code, fields), answer = self.run(_answer(call(self.process())))
        expected_code, expected_fields = expected
        retry = "retry_after_seconds"
        if retry in fields:
            assert abs(fields.pop(retry) - expected_fields.get(retry, 0)) < PLAY_SECONDS
            expected_fields = {k: v for k, v in expected_fields.items() if k != retry}
        assert (code, fields) == (expected_code, expected_fields)
        self.seen.answers[code] += 1
        return answer

    def do(self, question: Callable[..., Answer], *arguments: object) -> Answer:
        """Makes a call, which may be repeated."""
        self.asked.append(partial(question, *arguments))
        return question(*arguments)

    def pick_place(self, choice: int) -> Place:
        """Picks a place, usually one that may act."""
        return pick([*self.model.acting() * MOSTLY, *self.model.places], choice)

    def pick_show(self, choice: int, place: Place) -> Show:
        """Picks a show, usually of the place's concert."""
        return pick([*place.concert.shows * MOSTLY, *self.model.shows], choice)

    def pick_hold(self, choice: int) -> Hold:
        """Picks a reservation, usually an active one."""
        live = [h for h in self.model.holds if h.state_at(self.model.clock) == "held"]
        return pick([*live * MOSTLY, *self.model.holds], choice)

    def advance_clock(self, seconds: float) -> None:
        """Passes some seconds."""
        self.run(pass_time(self.database, seconds))
        self.model.clock += seconds

    # Events: the line ---------------------------------------------------------------------------

    def open_lines(self, policy: Policy, order: LineOrder, people: int) -> None:
        """Puts two concerts on sale; users join one line, and are admitted."""
        self.run(self._set_up(policy, order))
        for _ in range(people):
            self.come(choice=len(self.model.users), other=False)
        if order == "draw":
            self.advance_clock(TURN_SECONDS)
            self.run(self._draw(self.model.concerts[0]))
        self.admit()

    async def _set_up(self, policy: Policy, order: LineOrder) -> None:
        self.owner = await asyncpg.connect(self.database.owner_url)
        self.stack.push_async_callback(self.owner.close)
        await empty(self.owner)
        for _ in range(2):
            opening = services_on(
                self.database,
                pool_connections=2,
                unpaid_holds=UNPAID_HOLDS,
                unpaid_holds_seconds=UNPAID_SECONDS,
            )
            self.processes.append(await self.stack.enter_async_context(opening))
        now = datetime.now(UTC)
        for with_line in (True, False):
            refundable = now + timedelta(seconds=REFUNDABLE_SECONDS)
            opens_at = now + timedelta(seconds=OPENS_SECONDS)
            made = await make_concert(
                self.processes[0],
                policy=policy if with_line else OpenPolicy(),
                order=order if with_line else "arrival",
                opens_at=opens_at if with_line and order == "draw" else None,
                refundable_until=refundable if with_line else None,
                shows=2 if with_line else 1,
                seats=SEATS,
                price=PRICE,
                hold_seconds=HOLD_SECONDS,
                claim_seconds=CLAIM_SECONDS,
                session_seconds=SESSION_SECONDS,
                max_seats_per_user=SEAT_LIMIT,
            )
            self._add_concert(made, policy if with_line else OpenPolicy(), refundable=with_line)

    def _add_concert(self, made: ConcertOnSale, policy: Policy, *, refundable: bool) -> None:
        concert = Concert(
            made.concert_id,
            cap=getattr(policy, "max_active", float("inf")),
            exact=not hasattr(policy, "admit"),
            refundable_until=REFUNDABLE_SECONDS if refundable else 0,
        )
        concert.shows = [Show(show, concert) for show in made.shows]
        self.model.concerts.append(concert)

    async def _draw(self, concert: Concert) -> None:
        rooms = self.process().rooms
        await rooms.snapshot.refresh()
        assert await rooms.draw(rooms.snapshot.by_concert[concert.concert_id])
        rows = await self.owner.fetch("SELECT number FROM drawn ORDER BY position")
        concert.drawn = [row["number"] for row in rows]
        assert sorted(concert.drawn) == [place.ref.number for place in concert.places]

    @rule(choice=CHOICES, other=RARELY)
    def come(self, choice: int, other: bool) -> None:
        """A new or known user joins a line: for the live place, or a new one."""
        self.join_line(choice, self.model.concerts[other])

    def join_line(self, choice: int, concert: Concert) -> Place | None:
        """Joins a line. Returns the place; ``None`` after a refusal."""
        known = choice % (len(self.model.users) + 1)
        if known == len(self.model.users):
            guest = self.run(self.process().users.add_guest())
            self.model.users.append(User(guest.user_id))
        user = self.last_user = self.model.users[known]
        answers, place = self.model.join(user, concert)
        ref = self.ask(answers, lambda s: join(s, concert.concert_id, user.user_id))
        if place is not None:
            assert ref.place_id == place.ref.place_id
        elif ref is not None:
            assert ref.number == len(concert.places) + 1
            place = Place(ref, user, concert)
            concert.places.append(place)
        return place

    @rule()
    def admit(self) -> None:
        """In both lines, ended places are finished and the next ones are admitted."""
        for concert in self.model.concerts:
            self.model.finish_ended(concert)
            at_most = self.model.admissible(concert)
            called = self.run(self._admit(concert))
            assert called == at_most[: len(called)]
            assert not concert.exact or len(called) == len(at_most)
            self.model.call(called)

    async def _admit(self, concert: Concert) -> list[Place]:
        rooms = self.process().rooms
        await rooms.snapshot.refresh()
        line = rooms.snapshot.by_concert[concert.concert_id]
        quiet = 0
        # If the last drawn places have left, a run only passes over them.
        while quiet < 2:
            quiet = 0 if (await rooms.admit(line)).admitted else quiet + 1
        await rooms.snapshot.refresh()
        waited = concert.waiting()
        statuses = await asyncio.gather(*(rooms.status(place.ref) for place in waited))
        return [p for p, status in zip(waited, statuses, strict=True) if status.state == "admitted"]

    @rule(choice=CHOICES)
    @only_if(lambda self: self.model.places)
    def leave(self, choice: int) -> None:
        """A user leaves, waiting or admitted."""
        there = [place for place in self.model.places if place.state != "finished"]
        place = pick([*there * MOSTLY, *self.model.places], choice)
        self.last_user = place.user
        self.ask(self.model.leave(place), lambda s: s.reservations.leave(place.ref))

    @rule(choice=CHOICES, really=st.booleans())
    def erase(self, choice: int, really: bool) -> None:
        """A user asks for erasure; usually one with a balance."""
        users = [u for u in self.model.users if (really or u.balance) and not u.erased]
        if users:
            user = self.last_user = pick(users, choice)
            self.ask(self.model.erase(user), lambda s: s.erasures.erase(user.user_id))


def pick(those: Sequence[Thing], choice: int) -> Thing:
    """Picks one of the items."""
    return those[choice % len(those)]


async def _answer(call: Awaitable[Any]) -> tuple[tuple[str, dict[str, Any]], Any]:
    """Returns the answer to a call: a code and its fields, and the result of a success."""
    try:
        answer = await call
    except DomainError as error:
        fields = dict(error.fields)
        if isinstance(error, AlreadyCheckedIn):
            fields = {"gate": fields["gate"]}  # the time of a check-in changes
        if isinstance(error, RateLimited):
            fields["retry_after_seconds"] = error.retry_after_seconds
        return (error.code, fields), None
    how = answer[1] if isinstance(answer, tuple) else answer
    match how:
        case "replayed" | "existing" | "running" | "finished":
            code = how
        case True:
            code = "replayed"
        case _:
            code = "done"
    return (code, {}), answer
