"""The design documents agree with the code: calls, functions, states, locks, files, packages."""

import re
from pathlib import Path

import asyncpg
import pytest

from frontrow.web.calls import Who
from frontrow.web.routes import ALL_CALLS, document
from testkit.database import Database
from tests.documents.test_links import ROOT

KOREAN = sorted((ROOT / "docs/design/ko").glob("*.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/design").glob("*.md"))]
DESIGN = [*PAGES, ROOT / "README.ko.md", *KOREAN]
_CALL = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/[\w/{}.-]+)")
_FUNCTION = re.compile(
    r"\b((?:waiting_room|reservation|payment|wallet|ticket|concert|seat|user_key|signing_key)_\w+)\b",
    re.ASCII,
)
_FILE = re.compile(r"`((?:tests|src|benchmarks)/[\w/.]+)`")
_STATES = re.compile(r"^    (\w+|\[\*\]) --> (\w+|\[\*\])", re.MULTILINE)
# A statement's table, a call of another function, or a clause that locks rows.
_LOCK = re.compile(
    r"\bFROM (?P<table>\w+)\b(?! ?\()"
    r"|\bFOR (?:NO KEY UPDATE|KEY SHARE|UPDATE|SHARE)\b"
    r"|\b(?P<called>\w+) ?\("
)
# Names that look like functions but are fields, tables, indexes or error codes.
OTHERS = {"reservation_id", "payment_id", "ticket_id", "concert_id", "seat_change", "seat_taken",
          "seat_limit", "seat_maps", "ticket_commands", "ticket_keys", "ticket_code",
          "payment_state", "reservation_state"}  # fmt: skip


def name(page: Path) -> str:
    """Returns a page's path for the name of its test."""
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", DESIGN, ids=name)
def test_every_call_exists(page: Path) -> None:
    """Method and path are in the OpenAPI document."""
    known = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in document()["paths"].items()
        for method in methods
    }
    assert set(_CALL.findall(page.read_text())) <= known


@pytest.mark.parametrize("page", DESIGN, ids=name)
def test_every_file_exists(page: Path) -> None:
    """Tests and modules."""
    assert [file for file in _FILE.findall(page.read_text()) if not (ROOT / file).exists()] == []


async def functions(database: Database) -> dict[str, str]:
    """Returns the body of each database function by its name."""
    connection = await asyncpg.connect(database.app_url)
    rows = await connection.fetch(
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    )
    await connection.close()
    return {row["proname"]: row["prosrc"] for row in rows}


async def test_every_function_exists(database: Database) -> None:
    """Each name in the pages that looks like a database function."""
    named = {
        function
        for page in DESIGN
        for function in _FUNCTION.findall(page.read_text())
        if function not in OTHERS
    }
    assert len(named) > 20
    assert named <= set(await functions(database))


async def test_states_are_those_of_the_database(database: Database) -> None:
    """Each diagram shows every state of its type and no other."""
    connection = await asyncpg.connect(database.app_url)
    pages = [ROOT / "docs/design/states.md", *(page for page in KOREAN if page.stem == "states")]
    for text in (page.read_text() for page in pages):
        sections = re.split(r"^## ", text, flags=re.MULTILINE)
        for index, kind in [(1, "place_state"), (2, "reservation_state"), (3, "payment_state")]:
            arrows = _STATES.findall(sections[index])
            drawn = {state for arrow in arrows for state in arrow} - {"[*]"}
            stored = await connection.fetchval(f"SELECT enum_range(NULL::{kind})::text[]")
            assert drawn == set(stored)
    await connection.close()


def locked(function: str, bodies: dict[str, str], callers: tuple[str, ...] = ()) -> list[str]:
    """Returns the tables whose rows a function locks, in the order of the first lock."""
    found: list[str] = []
    table = ""
    text = " ".join(re.sub(r"--.*", "", bodies[function]).split())
    for event in _LOCK.finditer(text):
        if event["table"]:
            table = event["table"]
        elif event["called"] is None:
            found.append(table)
        elif event["called"] in bodies and event["called"] not in (function, *callers):
            found += locked(event["called"], bodies, (*callers, function))
    return list(dict.fromkeys(found))


def documented_order() -> dict[str, int]:
    """Returns each table's rank in the documented lock order."""
    text = (ROOT / "docs/design/concurrency.md").read_text()
    ranks = re.findall(r"^(\d+)\. (`.*)$", text, re.MULTILINE)
    return {table: int(rank) for rank, line in ranks for table in re.findall(r"`(\w+)`", line)}


def out_of_order(bodies: dict[str, str], order: dict[str, int]) -> dict[str, list[str]]:
    """Returns the functions that lock tables in another order, with that order."""
    locks = {function: locked(function, bodies) for function in bodies}
    return {
        function: tables
        for function, tables in locks.items()
        if [order[table] for table in tables] != sorted(order[table] for table in tables)
    }


async def test_locks_are_taken_in_the_documented_order(database: Database) -> None:
    """By every database function, including those that it calls; every table has a rank."""
    bodies = await functions(database)
    order = documented_order()
    assert {table for function in bodies for table in locked(function, bodies)} == set(order)
    assert out_of_order(bodies, order) == {}


def test_lock_out_of_order_is_found() -> None:
    """Directly, and through a called function."""
    wallets = "PERFORM FROM wallet AS w WHERE w.user_id = p_user FOR NO KEY UPDATE;"
    bodies = {
        "wallets": wallets,
        "right": "PERFORM FROM seat AS s FOR NO KEY UPDATE; PERFORM wallets(p_user);",
        "wrong": wallets + "PERFORM FROM seat AS s FOR NO KEY UPDATE;",
        "called": "PERFORM wallets(p_user); PERFORM FROM reservation AS r FOR UPDATE;",
    }
    assert out_of_order(bodies, documented_order()) == {
        "wrong": ["wallet", "seat"],
        "called": ["wallet", "reservation"],
    }


def test_credential_of_every_call_is_explained() -> None:
    """docs/design/requirements.md has each call once, with the credential that it needs."""
    text = (ROOT / "docs/design/requirements.md").read_text()
    table = text.partition("| credential | calls | why |\n")[2].partition("\n\n")[0]
    explained = [
        (f"{method} {path}", row.split(" | ")[0].strip("| "))
        for row in table.splitlines()
        for method, path in _CALL.findall(row)
    ]
    assert sorted(explained) == sorted(
        (f"{call.method} {call.path}", call.who.value)
        for _, call in ALL_CALLS
        if call.who is not Who.OPERATOR
    )
    operator = [call.path for _, call in ALL_CALLS if call.who is Who.OPERATOR]
    assert [path for path in operator if not path.startswith("/admin/")] == []


@pytest.mark.parametrize(("readme", "folder"), [("README.md", ""), ("README.ko.md", "ko/")])
def test_requirements_are_those_of_the_readme(readme: str, folder: str) -> None:
    """Both tables have the same requirements in the same words."""
    page = ROOT / f"docs/design/{folder}requirements.md"
    tables = [
        re.findall(r"^\| ([FC]\d+) \| (.*?) \|", file.read_text(), re.MULTILINE)
        for file in (ROOT / readme, page)
    ]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 24


def drawn(readme: str) -> set[str]:
    """Returns the paths in a README's package tree, below src/frontrow/."""
    tree = (ROOT / readme).read_text().partition("```\nsrc/frontrow/\n")[2].partition("```")[0]
    found, parent = set(), ""
    for line in tree.splitlines():
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            break
        names = re.findall(r"\w+(?:/|\.py)(?= |$)", line)
        if indent == 2:
            parent = names[0]
            found.update(names)
        else:
            found.update(parent + each for each in names)
    return found


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_package_tree_is_that_of_the_source(readme: str) -> None:
    """Every package and module of src/frontrow, and every folder of web/, and no other."""
    source = ROOT / "src/frontrow"
    files = [path for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    there = set()
    for path in (str(file.relative_to(source)) for file in files):
        top, _, rest = path.partition("/")
        there.add(f"{top}/" if rest else top)
        if top == "web" and "/" in rest:
            there.add(f"web/{rest.partition('/')[0]}/")
    ignored = {"__init__.py", "__main__.py", "py.typed"}
    assert drawn(readme) == there - ignored


def test_every_decision_is_listed() -> None:
    """docs/design/decisions.md has a row for each record, in order."""
    records = sorted(path.name for path in (ROOT / "docs/design/adr").glob("*.md"))
    text = (ROOT / "docs/design/decisions.md").read_text()
    rows = re.findall(r"^\| \[(\d+)\]\(adr/(.+?)\) \|", text, re.MULTILINE)
    assert [name for _, name in rows] == records
    assert [int(number) for number, _ in rows] == [int(name[:4]) for name in records]
