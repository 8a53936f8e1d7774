"""Typed queries: a protocol declares the statements of the SQL file beside it.

``wallet/queries.py`` declares ``wallet/queries.sql``: a method for each statement, with the types
of its parameters and of its result. A test compares all of them with PostgreSQL's own description
of the prepared statements, so nothing is checked at run time (docs/design/adr/0004-sql-files.md).
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from itertools import repeat, starmap
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

import aiosql
import asyncpg
import msgspec
from aiosql.adapters.asyncpg import AsyncPGAdapter
from msgspec.structs import astuple

Database: TypeAlias = asyncpg.Pool | asyncpg.Connection
"""Runs queries: a pool, or a connection, perhaps in a transaction."""

PAGE_ROWS = 1_000
"""Rows of a page, if a query returns pages."""

_Queries = TypeVar("_Queries")


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of a result: its fields are the columns, in order."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """An item of a batch: its fields are the statement's first parameters, an array each."""


class Statement(NamedTuple):
    """A statement of a file: its parameters ($1 …) by name, and the comment above it."""

    sql: str
    parameters: Sequence[str]
    summary: str


class Query(NamedTuple):
    """A statement with its declared types."""

    name: str
    statement: Statement
    item: type[Item] | None
    parameters: dict[str, Any]
    """The type of each parameter, in the statement's order."""
    result: Any
    """The return type of the method."""


class AlikeQuery(NamedTuple):
    """A query of ``bind_alike``: the comment above it, and the function that runs it."""

    summary: str
    run: Callable[..., Any]


BOUND: dict[type, list[Query]] = {}
"""The queries of each protocol, for the test of the types."""


def bind(protocol: type[_Queries]) -> _Queries:
    """Returns the queries that a protocol declares, from the SQL file beside its module.

    A method takes the ``Database``, then perhaps the items of a batch, then parameters by name.
    It returns one of:

    - ``list[Struct]``, ``Struct | None``, ``Struct``: rows, at most one row, exactly one row; a
      ``Row``, or another struct with the same fields as the columns, in order;
    - ``AsyncIterator[list[Struct]]``, ``AsyncIterator[list[value]]`` (not ``async``): pages of rows
      or of values, on a connection in a transaction;
    - ``list[value]``: the values of the only column;
    - ``value``: the only value; ``None``: nothing.

    Raises:
        TypeError: the protocol and the file don't have the same statements and parameters.
    """
    package, _, module = protocol.__module__.rpartition(".")
    statements = read_statements(package, f"{module}.sql")
    methods = {name: m for name, m in vars(protocol).items() if _is_query(name, m)}
    if methods.keys() != statements.keys():
        odd = ", ".join(sorted(methods.keys() ^ statements.keys()))
        raise TypeError(f"{protocol.__module__} and its SQL file differ: {odd}")
    queries = [_declared(name, statements[name], method) for name, method in methods.items()]
    BOUND[protocol] = queries
    return cast("_Queries", SimpleNamespace(**{query.name: _method(query) for query in queries}))


def bind_alike(row: type[msgspec.Struct], types: Mapping[str, Any]) -> dict[str, AlikeQuery]:
    """Returns the queries, by name, of a file of statements that all return one such row.

    Args:
        row: the row; the SQL file is the one beside its module.
        types: the types of the parameters; a statement may lack some.
    """
    package, _, module = row.__module__.rpartition(".")
    queries = [
        Query(name, statement, None, {p: types[p] for p in statement.parameters}, row)
        for name, statement in read_statements(package, f"{module}.sql").items()
    ]
    BOUND[row] = queries
    return {query.name: AlikeQuery(query.statement.summary, _method(query)) for query in queries}


def read_statements(package: str, file: str) -> dict[str, Statement]:
    """Returns the statements of a package's SQL file by name."""
    adapter = AsyncPGAdapter()  # type: ignore[no-untyped-call]
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    found = aiosql.from_str(text, lambda: adapter, mandatory_parameters=False)
    # For each query aiosql has the cursor of its rows too.
    names = [name for name in found.available_queries if not name.endswith("_cursor")]
    return {
        name: Statement(query.sql, tuple(adapter.var_sorted[name]), query.__doc__ or "")
        for name in names
        for query in [getattr(found, name)]
    }


def _is_query(name: str, member: object) -> bool:
    return inspect.isfunction(member) and not name.startswith("_")


def _declared(name: str, statement: Statement, method: Callable[..., Any]) -> Query:
    hints = get_type_hints(method, include_extras=True)
    result = hints.pop("return")
    (_, *declared) = hints.items()  # the database comes first
    item = _item_of(declared[0][1]) if declared else None
    parameters: dict[str, Any] = {}
    if item is not None:
        del declared[0]
        parameters = {field: list[kind] for field, kind in get_type_hints(item).items()}  # type: ignore[valid-type]
    parameters |= declared
    names = statement.parameters
    batch = item.__struct_fields__ if item else ()
    if parameters.keys() != set(names) or tuple(names[: len(batch)]) != batch:
        raise TypeError(f"{name} declares {[*parameters]}, its statement takes {[*names]}")
    return Query(name, statement, item, {name: parameters[name] for name in names}, result)


def _item_of(kind: Any) -> type[Item] | None:  # noqa: ANN401 - an annotation
    """Returns the item of a batch, where a parameter is one."""
    (of, *_) = get_args(kind) or (None,)
    return of if isinstance(of, type) and issubclass(of, Item) else None


def row_of(result: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401 - an annotation
    """Returns the struct of the rows that a method returns, if these are rows."""
    if isinstance(result, type) and issubclass(result, msgspec.Struct):
        return result
    return next(filter(None, map(row_of, get_args(result))), None)


def _arguments(query: Query) -> Callable[[tuple[Any, ...], dict[str, Any]], Iterable[Any]]:
    """Returns a function that puts the arguments of a call into the statement's order."""
    names = query.statement.parameters
    if query.item is None:
        return lambda _, given: [given[name] for name in names]
    width = len(query.item.__struct_fields__)
    others = names[width:]

    def batch(items: tuple[Sequence[Item]], given: dict[str, Any]) -> Iterable[Any]:
        columns = zip(*map(astuple, items[0]), strict=True) if items[0] else repeat((), width)
        return (*columns, *[given[name] for name in others])

    return batch


def _method(query: Query) -> Callable[..., Any]:
    """Returns the function that runs a query, chosen once by its result type."""
    sql = query.statement.sql
    arguments = _arguments(query)
    row: Any = row_of(query.result)
    origin = get_origin(query.result)

    async def fetch_rows(database: Any, *items: Any, **given: Any) -> Any:  # noqa: ANN401
        return list(starmap(row, await database.fetch(sql, *arguments(items, given))))

    async def fetch_row(database: Any, *items: Any, **given: Any) -> Any:  # noqa: ANN401
        record = await database.fetchrow(sql, *arguments(items, given))
        return None if record is None else row(*record)

    async def fetch_pages(database: Any, *items: Any, **given: Any) -> Any:  # noqa: ANN401
        cursor = await database.cursor(sql, *arguments(items, given))
        while page := await cursor.fetch(PAGE_ROWS):
            yield [value for (value,) in page] if row is None else list(starmap(row, page))

    async def fetch_column(database: Any, *items: Any, **given: Any) -> Any:  # noqa: ANN401
        return [value for (value,) in await database.fetch(sql, *arguments(items, given))]

    async def fetch_value(database: Any, *items: Any, **given: Any) -> Any:  # noqa: ANN401
        return await database.fetchval(sql, *arguments(items, given))

    if row is None:
        return {list: fetch_column, AsyncIterator: fetch_pages}.get(origin, fetch_value)
    return {list: fetch_rows, AsyncIterator: fetch_pages}.get(origin, fetch_row)
