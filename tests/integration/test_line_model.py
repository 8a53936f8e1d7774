"""A line compared with a naive model: any sequence of events, under every policy and order."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from frontrow.waiting_room.policy import MaxActivePolicy
from testkit.database import Database
from tests.integration.line_machine import LineMachine
from tests.integration.line_model import (
    OPENS_AFTER_SECONDS,
    CountsLeavers,
    IgnoresUnclaimed,
    LineModel,
    PrunesNothing,
    ServesByNumber,
)

RUNS = settings(
    max_examples=14,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_any_sequence_of_events(runner: asyncio.Runner, database: Database) -> None:
    """After any sequence of events, the line agrees with the model."""

    def machine() -> LineMachine:
        return LineMachine(runner.run, database, LineModel())

    run_state_machine_as_test(machine, settings=RUNS)  # type: ignore[arg-type]


def first_leaves(machine: LineMachine) -> None:
    """The first of three waiting users leaves."""
    machine.set_up(policy=MaxActivePolicy(1), order="arrival", people=3)
    machine.leave(choices=[0])


def admitted_user_stays_away(machine: LineMachine) -> None:
    """An admitted user takes the one slot and doesn't claim; others wait."""
    machine.set_up(policy=MaxActivePolicy(1), order="arrival", people=3)
    machine.upkeep()
    machine.upkeep()


def eight_are_drawn(machine: LineMachine) -> None:
    """In one of 40,320 draws the order is that of the numbers."""
    machine.set_up(policy=MaxActivePolicy(3), order="draw", people=8)
    machine.pass_time(seconds=OPENS_AFTER_SECONDS)
    machine.upkeep()


def two_are_pruned(machine: LineMachine) -> None:
    """The first two of three left long ago; the third waits."""
    machine.set_up(policy=MaxActivePolicy(1), order="arrival", people=3)
    machine.leave(choices=[0, 1])
    machine.prune(step=1)


@pytest.mark.parametrize(
    ("happens", "wrong"),
    [
        (first_leaves, CountsLeavers),
        (admitted_user_stays_away, IgnoresUnclaimed),
        (eight_are_drawn, ServesByNumber),
        (two_are_pruned, PrunesNothing),
    ],
)
def test_control_wrong_model_is_found(
    runner: asyncio.Runner,
    database: Database,
    happens: Callable[[LineMachine], None],
    wrong: type[LineModel],
) -> None:
    """Control: the right model agrees, and a model with one wrong rule doesn't."""

    def run(model: LineModel) -> None:
        machine = LineMachine(runner.run, database, model)
        try:
            happens(machine)
            machine.agrees_with_the_model()
        finally:
            runner.run(machine.stack.aclose())

    run(LineModel())
    with pytest.raises(AssertionError):
        run(wrong())
