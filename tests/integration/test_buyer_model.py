"""Buyers against a naive model of them: any sequence of events, in two processes by turns."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from frontrow.audit import INVARIANTS
from frontrow.payments import cancellations
from frontrow.reservations.best import Wish
from frontrow.waiting_room.policy import OpenPolicy
from tests.conftest import Database
from tests.integration.buyer_machine import BuyerMachine
from tests.integration.buyer_model import (
    REFUNDABLE_SECONDS,
    STEP_TICKETS,
    BuyerModel,
    ForgetsKeys,
    KeepsEndedHolds,
    KeepsOtherHolds,
    LetsVoidIn,
    RefundsForEver,
    StepsOverNobody,
)
from tests.integration.buyer_seats import TURN_SECONDS

# `make buyers` asks for many more, and for other ones each time.
MORE = int(os.environ.get("FRONTROW_TEST_BUYER_RUNS", "0"))
RUNS = settings(
    max_examples=MORE or 18,
    stateful_step_count=40,
    derandomize=not MORE,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """An event loop of its own: the machine is no coroutine."""
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation takes several steps even where little is sold."""
    monkeypatch.setattr(cancellations, "_STEP_TICKETS", STEP_TICKETS)


# A sequence that goes wrong is made as short as it can be, which takes its time.
@pytest.mark.timeout(600 + 10 * MORE)
def test_any_sequence_of_events(runner: asyncio.Runner, database: Database) -> None:
    """Whatever buyers do, in whatever order, they are told and shown what the model says."""
    looked: Counter[str] = Counter(dict.fromkeys(INVARIANTS, 0))

    def look(invariant: str, rows: int) -> None:
        looked[invariant] += rows

    def machine() -> BuyerMachine:
        return BuyerMachine(runner.run, database, BuyerModel(), look)

    run_state_machine_as_test(machine, settings=RUNS)  # type: ignore[arg-type]
    assert [invariant for invariant, rows in looked.items() if not rows] == []


def a_hold_ends(machine: BuyerMachine) -> None:
    """The first show's seats are held until their time is over; then somebody else wants them."""
    holds(machine, 1)
    machine.pass_time()
    machine.pass_time()
    machine.come_in(choice=2, other=False, seats=1)
    machine.hold(choice=0, at=0, seats={3, 4}, beyond=False, key=None)


def a_charge_is_asked_again(machine: BuyerMachine) -> None:
    """One charge is asked for twice, with one key."""
    machine.come_in(choice=1, other=False, seats=1)
    machine.charge(choice=0, seats=1, key="a")
    machine.ask_again(choice=len(machine.asked[-6:]) - 1)


def one_of_two_holds_is_paid(machine: BuyerMachine) -> None:
    """Who holds a seat pays another one."""
    holds(machine, 1)
    machine.buy(choice=0, at=0, count=1)


def a_void_ticket_is_scanned(machine: BuyerMachine) -> None:
    """What was bought at first is given back; then somebody wants to get in."""
    machine.refund(choice=0, by="operator", key=None)
    machine.check_in(choice=0, gate=None, elsewhere=False, key=None)


def a_buyer_is_late(machine: BuyerMachine) -> None:
    """What was bought at first is given back after the time for it."""
    for _ in range(REFUNDABLE_SECONDS // TURN_SECONDS + 1):
        machine.pass_time()
    machine.refund(choice=0, by="buyer", key=None)


def a_show_is_cancelled(machine: BuyerMachine) -> None:
    """The show of which two seats were bought at first is cancelled."""
    machine.end(choice=0, ends="it", really=True)
    machine.step(choice=0)


def holds(machine: BuyerMachine, count: int) -> None:
    """Somebody comes and holds so many seats."""
    machine.come_in(choice=1, other=False, seats=1)
    machine.hold_best(choice=0, at=0, wish=Wish(count), key=None)


@pytest.mark.parametrize(
    ("happens", "wrong"),
    [
        (a_hold_ends, KeepsEndedHolds),
        (a_charge_is_asked_again, ForgetsKeys),
        (one_of_two_holds_is_paid, KeepsOtherHolds),
        (a_void_ticket_is_scanned, LetsVoidIn),
        (a_buyer_is_late, RefundsForEver),
        (a_show_is_cancelled, StepsOverNobody),
    ],
)
def test_a_wrong_model_is_found_out(
    runner: asyncio.Runner,
    database: Database,
    happens: Callable[[BuyerMachine], None],
    wrong: type[BuyerModel],
) -> None:
    """Control: where the right model agrees, one that is wrong in a single point doesn't."""

    def play(model: BuyerModel) -> None:
        machine = BuyerMachine(runner.run, database, model)
        try:
            machine.set_up(policy=OpenPolicy(), order="arrival", people=1)
            happens(machine)
            machine.somebody_sees_what_is()
        finally:
            machine.teardown()

    play(BuyerModel())
    with pytest.raises(AssertionError):
        play(wrong())


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE seat SET reservation_id = NULL, held_until = NULL",
        "UPDATE ticket SET checked_in_at = clock_timestamp(), check_in_id = ticket_id",
        "DELETE FROM sold_delta",
    ],
)
def test_a_damaged_database_is_found_out(
    runner: asyncio.Runner, database: Database, damage: str
) -> None:
    """Control: what somebody else has changed is seen at the end at the latest."""
    machine = BuyerMachine(runner.run, database, BuyerModel())
    machine.set_up(policy=OpenPolicy(), order="arrival", people=1)
    runner.run(machine.owner.execute(damage))
    with pytest.raises(AssertionError):
        machine.teardown()
