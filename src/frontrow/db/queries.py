"""Loads a feature's plain queries: SQL files beside its code, one named query each."""

from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import aiosql
import asyncpg
from aiosql.adapters.asyncpg import AsyncPGAdapter
from aiosql.types import SQLOperationType


class _FetchingAdapter(AsyncPGAdapter):
    """Gives all rows at once, as asyncpg does, where aiosql would hand them out one by one."""

    async def select_all(
        self, pool: asyncpg.Pool, name: str, sql: str, parameters: dict[str, Any]
    ) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await pool.fetch(
            sql,
            *self.maybe_order_params(name, parameters),  # type: ignore[no-untyped-call]
        )
        return rows


def load(package: str, file: str = "queries.sql") -> Any:  # noqa: ANN401 - methods made at run time
    """The queries in a file of a package, as coroutine methods.

    Each takes a pool or a connection, then its parameters by name. The mark behind its name in the
    file says what it gives: none, a list of rows; ``^``, one row or ``None``; ``$``, one value;
    ``!``, what PostgreSQL says was done. ``.sql`` is the text, its parameters in order of mention.
    """
    adapter = _FetchingAdapter()  # type: ignore[no-untyped-call]
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    queries = aiosql.from_str(text, lambda: adapter, mandatory_parameters=False)
    methods = {}
    for name in queries.available_queries:
        query = getattr(queries, name)
        methods[name] = _fetch_all(adapter, query) if _gives_rows(query) else query
    return SimpleNamespace(**methods)


def _gives_rows(query: Any) -> bool:  # noqa: ANN401 - aiosql's
    return bool(query.operation is SQLOperationType.SELECT)


def _fetch_all(adapter: _FetchingAdapter, query: Any) -> Any:  # noqa: ANN401 - aiosql's
    async def fetch_all(pool: asyncpg.Pool, **parameters: Any) -> list[asyncpg.Record]:  # noqa: ANN401
        return await adapter.select_all(pool, query.__name__, query.sql, parameters)

    vars(fetch_all)["sql"] = query.sql
    return fetch_all
