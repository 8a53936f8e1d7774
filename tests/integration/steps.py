"""Steps of a stateful test that happen only where they can."""

from collections.abc import Callable
from functools import wraps
from typing import Any


def only_if(
    possible: Callable[[Any], object],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A step that does nothing where it isn't possible.

    Unlike Hypothesis's ``precondition`` it may depend on what the database decides, such as the
    order of a draw: the same choices lead to the same steps, whatever came of those before.
    """

    def decorate(step: Callable[..., None]) -> Callable[..., None]:
        @wraps(step)
        def taken(machine: Any, **choices: Any) -> None:
            if possible(machine):
                step(machine, **choices)

        return taken

    return decorate
