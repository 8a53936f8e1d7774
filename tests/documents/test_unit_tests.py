"""The table of unit tests in docs/design/requirements.md, against the tests and the functions."""

import re
from pathlib import Path

import pytest

from frontrow.db.functions import function_files

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/design/requirements.md").read_text()
_OUTCOMES = re.compile(
    r"^-- outcome: (.*?)\n(?:-- hot\n)?CREATE OR REPLACE FUNCTION (\w+)\(", re.MULTILINE | re.DOTALL
)


def rows(page: str) -> list[tuple[str, str, str]]:
    """Returns the rows of a page's table of unit tests: unit, requirements, test."""
    return re.findall(
        r"^\| `([\w/.]+)` \| ((?:[FC]\d+(?:, )?)+) \| `([\w/.]+)` \|$", page, re.MULTILINE
    )


def outcomes_of(function: str) -> set[str]:
    """Returns the outcomes that the comment above a database function lists."""
    for file in function_files():
        for comment, name in _OUTCOMES.findall(file.read_text()):
            if name == function:
                text = re.sub(r"\([^()]*\)", "", comment.replace("\n--", " "))
                # Further sentences explain other columns.
                listed = re.split(r"\.\s|\. *$", text)[0]
                return {word for word in re.split(r"[;,]\s*|\s+", listed.strip()) if word}
    return set()


def test_korean_table_is_the_same() -> None:
    """Both languages list the same units and tests."""
    korean = (ROOT / "docs/design/ko/requirements.md").read_text()
    assert rows(korean) == rows(PAGE) != []


def test_every_requirement_with_a_decision_has_a_unit_test() -> None:
    """Each function and constraint is covered, except for those that no single unit decides.

    F11 (best seats) is a search over a whole section: its unit is tested against a model
    (tests/integration/test_choice.py).
    """
    required = set(re.findall(r"^\| ([FC]\d+) \|", PAGE, re.MULTILINE))
    covered = {number for _, numbers, _ in rows(PAGE) for number in numbers.split(", ")}
    assert required - covered == {"F11"}
    assert covered - required == set()


def test_every_deciding_function_is_listed() -> None:
    """A database function that returns an outcome for a call of the sale has its unit test."""
    listed = {unit for unit, _, _ in rows(PAGE)}
    where = set(re.findall(r"`((?:waiting_room|reservation|wallet|payment|ticket)_\w+)`", PAGE))
    without = {"waiting_room_standing", "wallet_post", "reservation_hold_best"}  # steps of others
    assert where - listed == without & where


@pytest.mark.parametrize("row", rows(PAGE), ids=lambda row: row[0])
def test_unit_and_its_test_exist(row: tuple[str, str, str]) -> None:
    """The test names its unit; that of a database function has each of its outcomes."""
    unit, _, test = row
    text = (ROOT / test).read_text()
    if unit.endswith(".py"):
        assert (ROOT / unit).is_file()
        assert Path(unit).stem in text
    else:
        assert unit in text
        assert {each for each in outcomes_of(unit) if f'"{each}"' not in text} == set()


def test_outcomes_are_found() -> None:
    """The reader of the comments sees all outcomes of a function, without their explanations."""
    assert outcomes_of("wallet_charge") == {
        "charged",
        "replayed",
        "again",
        "idempotency_key_reused",
        "credential_invalid",
        "token_finished",
        "not_admitted",
    }
