"""External programs that tests run: the system's, or those that ``make programs`` obtained."""

import os
from typing import NoReturn

import pytest

from tools.programs import find


def missing(what: str) -> NoReturn:
    """Skips the test, since something is missing on this machine; in CI the test fails."""
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"{what}; in CI nothing may be missing", pytrace=False)
    pytest.skip(what)


def program(name: str) -> str:
    """Returns the path of a program; skips the test if it is missing (fails in CI)."""
    found = find(name)
    if found is None:
        missing(f"{name} is missing: install it, or run `make programs`")
    return found
