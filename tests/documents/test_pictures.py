"""What the design documents name is there: calls, database functions, states, tests, files."""

import re
from pathlib import Path

import asyncpg
import pytest

from frontrow.web.routes import document
from tests.conftest import Database
from tests.documents.test_links import ROOT

DESIGN = sorted((ROOT / "docs/design").glob("*.md"))
_CALL = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/[\w/{}.-]+)")
_FUNCTION = re.compile(
    r"\b((?:waiting_room|reservation|payment|wallet|ticket|concert|seat|user_key|signing_key)_\w+)\b"
)
_TEST = re.compile(r"`((?:tests|src|benchmarks)/[\w/.]+)`")
_STATES = re.compile(r"^    (\w+|\[\*\]) --> (\w+|\[\*\])", re.MULTILINE)
# Names of the same shape that are none: fields, tables and indexes that the text speaks of.
OTHERS = {"reservation_id", "payment_id", "ticket_id", "concert_id", "seat_change", "seat_taken",
          "seat_limit", "seat_maps", "reservation_hold"}  # fmt: skip


@pytest.mark.parametrize("page", DESIGN, ids=lambda page: page.stem)
def test_every_call_is_in_the_api(page: Path) -> None:
    """Method and path."""
    known = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in document()["paths"].items()
        for method in methods
    }
    named = set(_CALL.findall(page.read_text()))
    assert named <= known


@pytest.mark.parametrize("page", DESIGN, ids=lambda page: page.stem)
def test_every_file_is_there(page: Path) -> None:
    """Tests and modules."""
    assert [name for name in _TEST.findall(page.read_text()) if not (ROOT / name).exists()] == []


async def test_every_function_is_in_the_database(database: Database) -> None:
    """Each name that looks like one of ours."""
    connection = await asyncpg.connect(database.app_url)
    rows = await connection.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    )
    await connection.close()
    known = {row["proname"] for row in rows}
    named = {
        name
        for page in DESIGN
        for name in _FUNCTION.findall(page.read_text())
        if name not in OTHERS
    }
    assert len(named) > 20
    assert named <= known


async def test_the_states_are_those_of_the_database(database: Database) -> None:
    """A diagram shows each state of its type, and no other."""
    text = (ROOT / "docs/design/states.md").read_text()
    connection = await asyncpg.connect(database.app_url)
    for heading, kind in [
        ("Token", "place_state"),
        ("Reservation", "reservation_state"),
        ("Payment", "payment_state"),
    ]:
        section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        drawn = {state for arrow in _STATES.findall(section) for state in arrow} - {"[*]"}
        stored = await connection.fetchval(f"SELECT enum_range(NULL::{kind})::text[]")
        assert drawn == set(stored)
    await connection.close()
