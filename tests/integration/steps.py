"""Steps of a stateful test that run only under a condition."""

from collections.abc import Callable
from functools import wraps
from typing import Any


def only_if(
    possible: Callable[[Any], object],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Marks a step that does nothing unless a condition holds.

    Unlike Hypothesis's ``precondition`` the condition may depend on a decision of the database,
    such as the order of a draw: the same choices lead to the same steps, whatever their results.
    """

    def decorate(step: Callable[..., None]) -> Callable[..., None]:
        @wraps(step)
        def taken(machine: Any, **choices: Any) -> None:
            if possible(machine):
                step(machine, **choices)

        return taken

    return decorate
