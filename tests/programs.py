"""Programs of others that tests run: the system's, or those that make has fetched into .venv."""

import os
import shutil
import sys
from pathlib import Path

import pytest


def find(name: str) -> str | None:
    """Where it is, if it can be had."""
    places = [os.environ["PATH"], str(Path(sys.executable).parent), "/usr/sbin", "/usr/local/sbin"]
    return shutil.which(name, path=os.pathsep.join(places))


def program(name: str) -> str:
    """Where it is; skips the test where it can't be had."""
    found = find(name)
    if found is None:
        pytest.skip(f"there is no {name} here: make {name}")
    return found
