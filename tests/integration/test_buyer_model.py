"""Buyers compared with a naive model: any sequence of events, in two processes in turn."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from frontrow.audit import INVARIANTS
from frontrow.payments import cancellations
from frontrow.reservations.model import Wish
from frontrow.waiting_room.policy import MaxActiveAndRatePolicy, OpenPolicy
from testkit.database import Database
from tests.integration.buyer_machine import BuyerMachine
from tests.integration.buyer_model import (
    REFUNDABLE_SECONDS,
    STEP_TICKETS,
    AcceptsVoidTickets,
    BuyerModel,
    IgnoresKeys,
    KeepsEndedHolds,
    KeepsOtherHolds,
    RefundsInOneStep,
    RefundsWithoutLimit,
)
from tests.integration.buyer_seats import PRICE, SEAT_LIMIT, SEATS, TURN_SECONDS
from tests.integration.buyer_stage import Seen

# The codes of all answers to buyers; the last two are of a step of a cancellation.
ANSWERS = {
    *("done", "replayed", "existing", "idempotency_key_reused", "not_found", "not_allowed"),
    *("credential_invalid", "token_finished", "not_admitted", "rate_limited", "balance_remains"),
    *(
        "seat_taken",
        "recently_released",
        "seats_unavailable",
        "seat_limit",
        "show_closed",
        "hold_expired",
    ),
    *("reservation_closed", "amount_mismatch", "insufficient_balance", "refund_closed"),
    *("already_checked_in", "wrong_show", "ticket_void", "running", "finished"),
}
# `make buyers` runs many more examples, and different ones each time.
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
    """Makes a cancellation take several steps even with few sales."""
    monkeypatch.setattr(cancellations, "_STEP_TICKETS", STEP_TICKETS)


# A failing sequence is shrunk as far as possible, which takes time.
@pytest.mark.timeout(600 + 10 * MORE)
def test_any_sequence_of_events(runner: asyncio.Runner, database: Database) -> None:
    """After any sequence of events, answers and views agree with the model."""
    seen = Seen(Counter(), Counter())

    def machine() -> BuyerMachine:
        return BuyerMachine(runner.run, database, BuyerModel(), seen)

    run_state_machine_as_test(machine, settings=RUNS)  # type: ignore[arg-type]
    # A few runs may miss rare answers; the next test doesn't.
    assert not MORE or all(seen.checked_rows[invariant] for invariant in INVARIANTS)


def test_one_sequence_with_every_answer(runner: asyncio.Runner, database: Database) -> None:
    """One sequence causes every answer to buyers, and every invariant checks some rows."""
    seen = Seen(Counter(), Counter())
    machine = BuyerMachine(runner.run, database, BuyerModel(), seen)
    try:
        machine.set_up(policy=MaxActiveAndRatePolicy(3, 50, 1), order="arrival", people=5)
        hold_and_pay(machine)
        cancel_and_prune(machine)
    finally:
        machine.teardown()
    assert set(seen.answers) == ANSWERS
    assert [invariant for invariant in INVARIANTS if not seen.checked_rows[invariant]] == []


def hold_and_pay(machine: BuyerMachine) -> None:
    """One user has bought two seats, two are admitted, one waits, one leaves; most calls fail."""
    concert, other = machine.model.concerts
    show = concert.shows[0]
    gone, two, three, four, five = concert.places
    machine.leave(choice=3)  # of the four remaining users
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
    machine.ask_hold(two, show, hold.seats, None)
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
    """The first two purchases are of a cancelled show; a third one is refunded late."""
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
    """The first show's seats are held until the hold ends; then another user asks for them."""
    holds(machine, 1)
    machine.pass_time()
    machine.pass_time()
    machine.join_and_charge(choice=2, other=False, seats=1)
    machine.hold(choice=0, at=0, seats={3, 4}, beyond=False, key=None)


def charge_is_repeated(machine: BuyerMachine) -> None:
    """One charge is requested twice, with one key."""
    machine.join_and_charge(choice=1, other=False, seats=1)
    machine.charge(choice=0, seats=1, key="a")
    machine.repeat_call(choice=len(machine.asked[-6:]) - 1)


def one_of_two_holds_is_paid(machine: BuyerMachine) -> None:
    """A user with two holds pays one of them."""
    holds(machine, 1)
    machine.buy(choice=0, at=0, count=1)


def void_ticket_is_scanned(machine: BuyerMachine) -> None:
    """The first purchase is refunded; then its ticket is scanned."""
    machine.refund(choice=0, by="operator", key=None)
    machine.check_in(choice=0, gate=None, elsewhere=False, key=None)


def refund_comes_late(machine: BuyerMachine) -> None:
    """The first purchase is refunded after the time limit."""
    for _ in range(REFUNDABLE_SECONDS // TURN_SECONDS + 1):
        machine.pass_time()
    machine.refund(choice=0, by="buyer", key=None)


def show_is_cancelled(machine: BuyerMachine) -> None:
    """The show of the first purchase is cancelled."""
    machine.end(choice=0, ends="it", really=True)
    machine.step(choice=0)


def holds(machine: BuyerMachine, count: int) -> None:
    """A new user joins and holds some seats."""
    machine.join_and_charge(choice=1, other=False, seats=1)
    machine.hold_best(choice=0, at=0, wish=Wish(count), key=None)


@pytest.mark.parametrize(
    ("happens", "wrong"),
    [
        (a_hold_ends, KeepsEndedHolds),
        (charge_is_repeated, IgnoresKeys),
        (one_of_two_holds_is_paid, KeepsOtherHolds),
        (void_ticket_is_scanned, AcceptsVoidTickets),
        (refund_comes_late, RefundsWithoutLimit),
        (show_is_cancelled, RefundsInOneStep),
    ],
)
def test_control_wrong_model_is_found(
    runner: asyncio.Runner,
    database: Database,
    happens: Callable[[BuyerMachine], None],
    wrong: type[BuyerModel],
) -> None:
    """Control: the right model agrees, and a model with one wrong rule doesn't."""

    def play(model: BuyerModel) -> None:
        machine = BuyerMachine(runner.run, database, model, Seen(Counter(), Counter()))
        try:
            machine.set_up(policy=OpenPolicy(), order="arrival", people=1)
            happens(machine)
            machine.other_process_agrees()
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
def test_control_damaged_database_is_found(
    runner: asyncio.Runner, database: Database, damage: str
) -> None:
    """Control: a foreign change of the database is found at the latest at the end."""
    machine = BuyerMachine(runner.run, database, BuyerModel(), Seen(Counter(), Counter()))
    machine.set_up(policy=OpenPolicy(), order="arrival", people=1)
    runner.run(machine.owner.execute(damage))
    with pytest.raises(AssertionError):
        machine.teardown()
