"""A line against a naive model of it: any sequence of events, under every policy and order."""

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
    ForgetsTheUnclaimed,
    KeepsEverything,
    LineModel,
    ServesByNumber,
)

RUNS = settings(
    max_examples=14,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_any_sequence_of_events(runner: asyncio.Runner, database: Database) -> None:
    """Whatever happens in a line, in whatever order, it says and does what the model does."""

    def machine() -> LineMachine:
        return LineMachine(runner.run, database, LineModel())

    run_state_machine_as_test(machine, settings=RUNS)  # type: ignore[arg-type]


def somebody_leaves(machine: LineMachine) -> None:
    """The first of three who wait goes."""
    machine.set_up(policy=MaxActivePolicy(1), order="arrival", people=3)
    machine.leave(choices=[0])


def somebody_does_not_come(machine: LineMachine) -> None:
    """The one slot is taken by somebody who was called and stays away; others wait."""
    machine.set_up(policy=MaxActivePolicy(1), order="arrival", people=3)
    machine.upkeep()
    machine.upkeep()


def eight_are_drawn(machine: LineMachine) -> None:
    """In one of 40,320 draws the order is that of the numbers."""
    machine.set_up(policy=MaxActivePolicy(3), order="draw", people=8)
    machine.pass_time(seconds=OPENS_AFTER_SECONDS)
    machine.upkeep()


def two_are_dropped(machine: LineMachine) -> None:
    """The first two of three have left long ago; the third waits."""
    machine.set_up(policy=MaxActivePolicy(1), order="arrival", people=3)
    machine.leave(choices=[0, 1])
    machine.prune(step=1)


@pytest.mark.parametrize(
    ("happens", "wrong"),
    [
        (somebody_leaves, CountsLeavers),
        (somebody_does_not_come, ForgetsTheUnclaimed),
        (eight_are_drawn, ServesByNumber),
        (two_are_dropped, KeepsEverything),
    ],
)
def test_a_wrong_model_is_found_out(
    runner: asyncio.Runner,
    database: Database,
    happens: Callable[[LineMachine], None],
    wrong: type[LineModel],
) -> None:
    """Control: where the right model agrees, one that is wrong in a single point doesn't."""

    def run(model: LineModel) -> None:
        machine = LineMachine(runner.run, database, model)
        try:
            happens(machine)
            machine.is_as_the_model_says()
        finally:
            runner.run(machine.stack.aclose())

    run(LineModel())
    with pytest.raises(AssertionError):
        run(wrong())
