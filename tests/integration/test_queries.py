"""The types that Python declares for each statement are those of PostgreSQL."""

import importlib
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import pytest

from frontrow.db.functions import PACKAGE
from frontrow.db.queries import BOUND, Query, bind, row_of
from testkit.database import Database

# Features whose queries aren't typed yet.
MODULES = [
    "frontrow." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*queries.sql"))
]
SCALARS = {
    bool: {"bool"},
    bytes: {"bytea"},
    date: {"date"},
    datetime: {"timestamptz"},
    float: {"float8"},
    int: {"int2", "int4", "int8"},
    str: {"text", "json", "jsonb"},
    UUID: {"uuid"},
}


class Type(NamedTuple):
    """A type as PostgreSQL describes it: its name without ``[]``, and the labels of an enum."""

    name: str
    is_array: bool
    labels: tuple[str, ...]


def queries() -> list[Query]:
    """Returns the declared queries of all features."""
    for module in MODULES:
        importlib.import_module(module)
    return [query for declared in BOUND.values() for query in declared]


QUERIES = queries()


@pytest.fixture(scope="module")
async def connection(template: Database) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection to the migrated database, as the application."""
    opened = await asyncpg.connect(template.app_url)
    yield opened
    await opened.close()


def test_every_query_file_has_a_protocol() -> None:
    """Each SQL file has a protocol beside it."""
    assert {protocol.__module__ for protocol in BOUND} >= set(MODULES)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.statement.summary[:60])
async def test_types_match_the_statement(
    connection: "asyncpg.Connection[Any]", query: Query
) -> None:
    """Parameters and columns have the declared names, order and types."""
    statement = await connection.prepare(query.statement.sql)
    parameters = await described(connection, statement.get_parameters())
    differing = {
        name: (kind, found)
        for (name, kind), found in zip(query.parameters.items(), parameters, strict=True)
        if not accepts(kind, found)
    }
    assert differing == {}
    columns = statement.get_attributes()
    names = [column.name for column in columns]
    found = dict(
        zip(names, await described(connection, [column.type for column in columns]), strict=True)
    )
    row = row_of(query.result)
    if row is not None:
        assert list(row.__struct_fields__) == names
        declared = get_type_hints(row, include_extras=True)
    elif query.result is NoneType:
        return
    else:
        value = query.result
        while get_origin(value) in (list, AsyncIterator):
            (value,) = get_args(value)
        declared = {names[0]: value}
    assert {n: (declared[n], found[n]) for n in names if not accepts(declared[n], found[n])} == {}


async def described(
    connection: "asyncpg.Connection[Any]", types: Iterable[asyncpg.Type]
) -> list[Type]:
    """Returns PostgreSQL's descriptions of types."""
    labels = {
        row["name"]: tuple(row["labels"])
        for row in await connection.fetch(
            "SELECT t.typname AS name, array_agg(e.enumlabel::text) AS labels"
            " FROM pg_enum AS e JOIN pg_type AS t ON t.oid = e.enumtypid GROUP BY t.typname"
        )
    }
    names = [(kind.name.removesuffix("[]"), kind.name.endswith("[]")) for kind in types]
    return [Type(name, is_array, labels.get(name, ())) for name, is_array in names]


def accepts(kind: Any, found: Type) -> bool:
    """Returns whether a Python type is the one that asyncpg uses for a type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return accepts(arguments[0], found)
    if labels := labels_of(kind):
        return found.name == "text" or labels == set(found.labels)
    if origin in (Union, UnionType):
        return all(accepts(one, found) for one in arguments if one is not NoneType)
    if origin in (list, Sequence):
        return found.is_array and accepts(arguments[0], found._replace(is_array=False))
    if kind is str and found.labels:
        return True
    return not found.is_array and found.name in SCALARS.get(kind, set())


def labels_of(kind: Any) -> set[str]:
    """Returns the strings that a literal, or a union of literals, allows."""
    if get_origin(kind) is Literal:
        return set(get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return set().union(*map(labels_of, get_args(kind)))
    return set()


SHAPES = """
-- name: rows
SELECT n AS number, :text::text AS text FROM generate_series(1, :last::int) AS n;
-- name: one
SELECT 1 AS number, :text::text AS text;
-- name: perhaps
SELECT 1 AS number, 'a'::text AS text WHERE :any::boolean;
-- name: pages
SELECT n AS number, 'a'::text AS text FROM generate_series(1, 1001) AS n;
-- name: pages_of_values
SELECT n FROM generate_series(1, 1001) AS n;
-- name: column
SELECT n FROM generate_series(1, 3) AS n;
-- name: value
SELECT count(*) FROM generate_series(1, 3);
-- name: nothing!
SET LOCAL work_mem = '9MB';
-- name: batch
SELECT k.number + a.number AS number, k.text
FROM unnest(:number::int[], :text::text[]) AS k (number, text), (SELECT :add::int) AS a (number);
"""
PROTOCOL = """
from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from frontrow.db.queries import Database, Item, Row, bind

class Line(Row, frozen=True):
    number: int
    text: str

class Thing(Item, frozen=True):
    number: int
    text: str

class Shapes(Protocol):
    async def rows(self, database: Database, *, last: int, text: str) -> list[Line]: ...
    async def one(self, database: Database, *, text: str) -> Line: ...
    async def perhaps(self, database: Database, *, any: bool) -> Line | None: ...
    def pages(self, database: Database) -> AsyncIterator[list[Line]]: ...
    def pages_of_values(self, database: Database) -> AsyncIterator[list[int]]: ...
    async def column(self, database: Database) -> list[int]: ...
    async def value(self, database: Database) -> int: ...
    async def nothing(self, database: Database) -> None: ...
    async def batch(
        self, database: Database, items: Sequence[Thing], *, add: int
    ) -> list[Line]: ...
"""


@pytest.fixture
def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Binds a protocol to a file of statements, both given as text."""

    def bind_texts(statements: str, protocol: str) -> Any:
        package = tmp_path / "shapes_package"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "queries.sql").write_text(statements)
        (package / "queries.py").write_text(protocol)
        monkeypatch.syspath_prepend(tmp_path)
        module = importlib.import_module("shapes_package.queries")
        return module, bind(module.Shapes)

    yield bind_texts
    for name in ("shapes_package", "shapes_package.queries"):
        sys.modules.pop(name, None)
    for protocol in [kind for kind in BOUND if kind.__module__.startswith("shapes_package")]:
        del BOUND[protocol]


async def test_results_have_the_declared_shape(
    connection: "asyncpg.Connection[Any]", bound: Callable[..., Any]
) -> None:
    """Rows, one row, an optional row, pages, a column, a value, no result; a batch as arrays."""
    module, queries = bound(SHAPES, PROTOCOL)
    line, thing = module.Line, module.Thing
    assert await queries.rows(connection, last=2, text="a") == [line(1, "a"), line(2, "a")]
    assert await queries.one(connection, text="a") == line(1, "a")
    assert await queries.perhaps(connection, any=True) == line(1, "a")
    assert await queries.perhaps(connection, any=False) is None
    assert await queries.column(connection) == [1, 2, 3]
    assert await queries.value(connection) == 3
    things = [thing(1, "a"), thing(2, "b")]
    assert await queries.batch(connection, things, add=1) == [line(2, "a"), line(3, "b")]
    assert await queries.batch(connection, [], add=1) == []
    async with connection.transaction():
        await queries.nothing(connection)
        assert await connection.fetchval("SHOW work_mem") == "9MB"
        pages = [page async for page in queries.pages(connection)]
        numbers = [page async for page in queries.pages_of_values(connection)]
    assert [len(page) for page in pages] == [1000, 1]
    assert pages[1] == [line(1001, "a")]
    assert numbers == [[*range(1, 1001)], [1001]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-- name: one", "-- name: another", "another, one"),
        (":last::int", ":until::int", r"rows declares \['last', 'text'\]"),
        ("SELECT k.number + a.number", "SELECT :add::int + k.number", "batch declares"),
    ],
)
def test_protocol_that_differs_from_its_file_is_refused(
    bound: Callable[..., Any], old: str, new: str, message: str
) -> None:
    """A missing statement, a different parameter, items that aren't the first parameter."""
    with pytest.raises(TypeError, match=message):
        bound(SHAPES.replace(old, new), PROTOCOL)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (int, Type("text", False, ())),
        (int, Type("int4", True, ())),
        (list[int], Type("int4", False, ())),
        (list[str], Type("uuid", True, ())),
        (Literal["a", "b"], Type("kind", False, ("a", "b", "c"))),
        (int | str, Type("int8", False, ())),
    ],
)
def test_control_wrong_type_is_found(kind: Any, found: Type) -> None:
    """Control: types that asyncpg would not return."""
    assert not accepts(kind, found)
