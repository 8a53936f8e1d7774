"""The files of SQL functions: functions are short, and no file repeats what pins a plan."""

import re
from pathlib import Path

import pytest

from frontrow.db.functions import HOT, PACKAGE, function_files

MOST_LINES = 70
FUNCTION = re.compile(
    r"^CREATE OR REPLACE FUNCTION (\w+)\((?:(?!\$\$|;).)*(?:\$\$.*?\$\$[^;]*;|;)",
    re.MULTILINE | re.DOTALL,
)
TABLE = re.compile(r"\b(?:FROM|UPDATE|INSERT INTO) \w+ (?:AS|\()")
by_file = pytest.mark.parametrize(
    "path", function_files(), ids=lambda path: str(path.relative_to(PACKAGE))
)


def test_functions_have_at_most_seventy_lines() -> None:
    """A longer function must be split into named steps: lock, decide, apply, report."""
    text = "".join(path.read_text() for path in function_files())
    lines = {found[1]: found[0].count("\n") + 1 for found in FUNCTION.finditer(text)}
    assert len(lines) == text.count("CREATE OR REPLACE FUNCTION")
    assert {name for name, count in lines.items() if count > MOST_LINES} == set()


def test_steps_without_pins_are_called_by_hot_functions_only() -> None:
    """A plan that another caller had cached without the pins would stay for its connection."""
    sources = {
        found[1]: found[0].split("(", 1)[1]
        for path in function_files()
        for found in FUNCTION.finditer(path.read_text())
    }
    queries = "".join(path.read_text() for path in PACKAGE.glob("*/*queries.sql"))
    hot = {name for path in function_files() for name in HOT.findall(path.read_text())}
    callers = {
        step: {name for name, text in sources.items() if re.search(rf"\b{step}\(", text)}
        for step, text in sources.items()
        if step not in hot and "plpgsql" in text
    }
    steps = {step for step in callers if callers[step] & hot}
    while reached := {s for s in callers if callers[s] & steps} - steps:
        steps |= reached
    under_pins = hot | {step for step in steps if f"{step}(" not in queries}
    reading = {step for step in steps if TABLE.search(sources[step])}
    assert len(reading) > 10
    assert reading <= under_pins
    assert {s: callers[s] - under_pins for s in reading if callers[s] - under_pins} == {}


@by_file
def test_no_file_repeats_the_pins(path: Path) -> None:
    """A hot function is marked in the line above it; the installer pins its plan."""
    text = path.read_text()
    assert text.count("-- hot\n") == len(HOT.findall(text))
    assert "plan_cache_mode" not in text
    assert "enable_material" not in text
