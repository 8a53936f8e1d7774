"""The files of SQL functions: each function is short, and no file repeats what pins a plan."""

import re
from pathlib import Path

import pytest

from frontrow.db.functions import HOT, PACKAGE, function_files

MOST_LINES = 70
# Not split yet.
TOO_LONG = {
    "payment_give_back",
    "payment_pay",
    "payment_refund",
    "reservation_choose",
    "reservation_hold",
    "reservation_hold_best",
    "ticket_check_in",
    "waiting_room_admit",
    "waiting_room_join",
    "waiting_room_observe",
}
FUNCTION = re.compile(
    r"^CREATE OR REPLACE FUNCTION (\w+)\((?:(?!\$\$|;).)*(?:\$\$.*?\$\$[^;]*;|;)",
    re.MULTILINE | re.DOTALL,
)
by_file = pytest.mark.parametrize(
    "path", function_files(), ids=lambda path: str(path.relative_to(PACKAGE))
)


def test_functions_have_at_most_seventy_lines() -> None:
    """A longer one is to be split into steps with names: lock, judge, apply, report."""
    text = "".join(path.read_text() for path in function_files())
    lines = {found[1]: found[0].count("\n") + 1 for found in FUNCTION.finditer(text)}
    assert len(lines) == text.count("CREATE OR REPLACE FUNCTION")
    assert {name for name, count in lines.items() if count > MOST_LINES} == TOO_LONG


@by_file
def test_no_file_repeats_the_pins(path: Path) -> None:
    """A hot function is marked in the line above it; the installer pins its plan."""
    text = path.read_text()
    assert text.count("-- hot\n") == len(HOT.findall(text))
    assert "plan_cache_mode" not in text
    assert "enable_material" not in text
