"""Programs of others that tests run: the system's, or those that make obtained."""

from typing import NoReturn

import pytest

from tools.programs import find


def missing(what: str) -> NoReturn:
    """Skips the test, since something is missing on this machine."""
    pytest.skip(what)


def program(name: str) -> str:
    """Returns the path of a program. Where it is missing the test is skipped."""
    found = find(name)
    if found is None:
        missing(f"{name} is missing: install it, or run `make programs`")
    return found
