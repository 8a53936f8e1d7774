"""Buyers against a naive model of them: any sequence of events, in two processes by turns."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from frontrow.audit import INVARIANTS
from frontrow.payments import cancellations
from frontrow.reservations.best import Wish
from frontrow.waiting_room.policy import MaxActiveAndRatePolicy, OpenPolicy
from testkit.database import Database
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
from tests.integration.buyer_seats import PRICE, SEAT_LIMIT, SEATS, TURN_SECONDS
from tests.integration.buyer_stage import Seen

# What buyers can be told, by code; the last two are of a step of a cancellation.
ANSWERS = {
    *("done", "replayed", "existing", "idempotency_key_reused", "not_found", "not_allowed"),
    *("credential_invalid", "token_finished", "not_admitted", "rate_limited", "balance_remains"),
    *("seat_taken", "seats_unavailable", "seat_limit", "show_closed", "hold_expired"),
    *("reservation_closed", "amount_mismatch", "insufficient_balance", "refund_closed"),
    *("already_checked_in", "wrong_show", "ticket_void", "running", "finished"),
}
# `make buyers` asks for many more, and for other ones each time.
MORE = int(os.environ.get("FRONTROW_TEST_BUYER_RUNS", "0"))
RUNS = settings(
    max_examples=MORE or 10,
    stateful_step_count=40,
    derandomize=not MORE,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation takes several steps even where little is sold."""
    monkeypatch.setattr(cancellations, "_STEP_TICKETS", STEP_TICKETS)


# A sequence that goes wrong is made as short as it can be, which takes its time.
@pytest.mark.timeout(600 + 10 * MORE)
def test_any_sequence_of_events(runner: asyncio.Runner, database: Database) -> None:
    """Whatever buyers do, in whatever order, they are told and shown what the model says."""
    seen = Seen(Counter(), Counter())

    def machine() -> BuyerMachine:
        return BuyerMachine(runner.run, database, BuyerModel(), seen)

    run_state_machine_as_test(machine, settings=RUNS)  # type: ignore[arg-type]
    # Few runs may miss what happens rarely; the next test doesn't.
    assert not MORE or all(seen.looked[invariant] for invariant in INVARIANTS)


def test_every_answer(runner: asyncio.Runner, database: Database) -> None:
    """In one sequence buyers are told all they can be, and every invariant looks at something."""
    seen = Seen(Counter(), Counter())
    machine = BuyerMachine(runner.run, database, BuyerModel(), seen)
    try:
        machine.set_up(policy=MaxActiveAndRatePolicy(3, 50, 1), order="arrival", people=5)
        hold_and_pay(machine)
        cancel_and_prune(machine)
    finally:
        machine.teardown()
    assert set(seen.told) == ANSWERS
    assert [invariant for invariant in INVARIANTS if not seen.looked[invariant]] == []


def hold_and_pay(machine: BuyerMachine) -> None:
    """One has bought two seats, two are called, one waits, one leaves. Nearly all goes wrong."""
    concert, other = machine.model.concerts
    show = concert.shows[0]
    gone, two, three, four, five = concert.places
    machine.leave(choice=3)  # of the four who are still there
    assert five.reason == "left"
    for place in (gone, four):
        machine.ask_best(place, show, Wish(1), None)
    machine.ask_hold(two, other.shows[0], [1], None)
    machine.ask_hold(two, show, [SEATS + 1], None)
    hold = machine.ask_best(two, show, Wish(1), "a")
    assert hold is not None
    for count in (1, 2):
        machine.ask_best(two, show, Wish(count), "a")
    machine.ask_hold(three, show, hold.seats, None)
    machine.ask_best(two, show, Wish(SEAT_LIMIT), None)
    free = [number for number in range(1, SEATS + 1) if not machine.model.holder(show, number)]
    machine.ask_hold(three, show, free[:2], None)
    machine.ask_best(two, show, Wish(2), None)
    for more in (1, 0):
        machine.ask_pay(two, hold, PRICE + more, None)
    machine.pass_time()
    machine.pass_time()
    machine.ask_pay(two, hold, PRICE, None)
    second = machine.ask_best(two, show, Wish(1), None)
    assert second is not None
    machine.ask_release(second, two.user, two)
    machine.ask_best(two, show, Wish(1), None)
    machine.ask_pay(two, second, PRICE, None)
    machine.ask_charge(three, 2 * PRICE, None)
    machine.erase(choice=0, really=False)
    third = machine.ask_best(three, show, Wish(1), None)
    assert third is not None
    for _ in range(2):
        machine.ask_pay(three, third, PRICE, None)
    machine.erase(choice=0, really=True)


def cancel_and_prune(machine: BuyerMachine) -> None:
    """The first two purchases are of a show that is cancelled; a third one is given back late."""
    concert, _ = machine.model.concerts
    show, other_show = concert.shows
    four = concert.places[3]
    first, second = (sale.tickets[0] for sale in machine.model.sales)
    for at in (other_show, None, None):
        machine.ask_check_in(first, None, at, None)
    machine.end(choice=0, ends="it", really=True)
    for _ in range(2):
        machine.step(choice=0)
    machine.ask_check_in(second, None, None, None)
    machine.admit()
    machine.ask_best(four, show, Wish(1), None)
    machine.ask_charge(four, PRICE, None)
    hold = machine.ask_best(four, other_show, Wish(1), None)
    assert hold is not None
    machine.ask_pay(four, hold, PRICE, None)
    sale = machine.model.sales[-1]
    machine.ask_check_in(sale.tickets[0], None, None, None)
    machine.ask_refund(sale, None, None)
    for _ in range(REFUNDABLE_SECONDS // TURN_SECONDS):
        machine.pass_time()
    machine.ask_refund(sale, sale.user, None)
    machine.audit()
    machine.admit()
    machine.prune(really=True)
    machine.ask_best(four, show, Wish(1), None)


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
        machine = BuyerMachine(runner.run, database, model, Seen(Counter(), Counter()))
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
    machine = BuyerMachine(runner.run, database, BuyerModel(), Seen(Counter(), Counter()))
    machine.set_up(policy=OpenPolicy(), order="arrival", people=1)
    runner.run(machine.owner.execute(damage))
    with pytest.raises(AssertionError):
        machine.teardown()
