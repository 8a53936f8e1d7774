"""One figure, one value: what other documents repeat is what docs/reference/performance.md says."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
MEASURED = (DOCS / "reference/performance.md").read_text()
SIZING = (DOCS / "guides/sizing.md").read_text()
LIMITS = (DOCS / "guides/rate-limits.md").read_text()
README = (DOCS.parent / "README.md").read_text()


def section(heading: str, text: str = MEASURED) -> str:
    """Returns the text under a heading."""
    found = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert found, heading
    return found


def cells(heading: str, first: str, second: str | None = None) -> list[str]:
    """Returns the row of a measured table that begins with one or two given cells."""
    for line in section(heading).splitlines():
        row = [cell.strip() for cell in line.strip("|").split(" | ")]
        if row[0] == first and (second is None or row[1] == second):
            return row
    raise AssertionError(f"{heading}: no row {first}")


def numbers(text: str) -> list[str]:
    """Returns the numbers in a text, as they are written."""
    return re.findall(r"\d(?:[\d,.]*\d)?", text)


def sized(first: str) -> list[str]:
    """Returns the numbers that docs/guides/sizing.md has for one thing."""
    (row,) = re.findall(rf"^\| {re.escape(first)} \| (.*?) \|", SIZING, re.MULTILINE)
    return numbers(row)


HTTP, LINE, DATABASE = "Over HTTP", "The line", "Database calls without HTTP"
CPU, GROUPED = 4, 3


def test_costs_are_those_measured() -> None:
    """In the table of docs/guides/sizing.md."""
    hold, pay = cells(HTTP, "hold"), cells(HTTP, "pay")
    assert sized("a joining user") == [
        cells(HTTP, "join")[CPU],
        *numbers(cells(LINE, "a place in the database, as joined, with its indexes")[1]),
    ]
    assert sized("a poll of a waiting user") == [cells(HTTP, "status poll, token seen before")[CPU]]
    assert sized("an open stream") == [
        *numbers(cells("Streams", "memory of a stream")[1]),
        *numbers(cells("Streams", "CPU of an event")[1]),
    ]
    for thing, row in (("hold", hold), ("pay", pay)):
        name = {"hold": "a hold", "pay": "a payment"}[thing]
        grouped = numbers(cells(DATABASE, thing, "1,000")[GROUPED])[0]
        assert sized(name) == [row[CPU], row[1], grouped]
    memory = [row for row in section(LINE).splitlines() if row.startswith("| memory of a process")]
    assert sized("a line of a million in a process") == [
        re.findall(r"\| ([\d.]+) MB", row)[0] for row in memory
    ]
    joins = [
        row for row in section(LINE).splitlines() if "40,000" in row or "joins a second" in row
    ]
    assert sized("joins of one line, all processes together") == [
        numbers(row.split(" | ")[1])[0] for row in joins
    ]


def test_calculations_use_the_measured_figures() -> None:
    """In the text of docs/guides/sizing.md."""
    join, pay = cells(HTTP, "join")[CPU], cells(HTTP, "pay")
    cores = 30_000 * float(join) / 1e6
    assert f"30,000/s × {join} µs = {cores:.1f} cores" in SIZING
    assert f"a single worker does {pay[1]}." in SIZING
    assert f"5,000 × 0.5 requests a second × {pay[CPU]} µs" in SIZING
    assert 5_000 * 0.5 * float(pay[CPU]) / 1e6 < 2 / 3
    assert f"takes {numbers(cells(LINE, 'draw of 1,000,000')[1])[0]} s" in SIZING


def test_cost_of_rate_limits_is_the_same_in_both_pages() -> None:
    """In docs/reference/performance.md and docs/guides/rate-limits.md."""
    tables = [
        [line for line in section(heading, text).splitlines() if line.startswith("|")]
        for heading, text in (("Rate limits", MEASURED), ("What they cost", LIMITS))
    ]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 4


MILESTONE = {DATABASE: 1, HTTP: 2, LINE: 3, "Many concerts": 3, "The best seats": 4, "The pages": 5}
"""The milestone that each section measures."""


@pytest.mark.parametrize("heading", re.findall(r"^## (.*)$", MEASURED, re.MULTILINE))
def test_missed_bound_is_in_its_milestone(heading: str) -> None:
    """The README marks a milestone as missed if, and only if, a bound of it is missed."""
    missed = "missed" in section(heading)
    if heading not in MILESTONE:
        assert not missed, f"to which milestone does {heading} belong?"
        return
    milestones = section("Scenario and milestones", README)
    (row,) = re.findall(rf"^\| {MILESTONE[heading]} \| .*$", milestones, re.MULTILINE)
    assert ("**missed**" in row) == missed
