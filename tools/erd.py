"""The entity-relationship diagram of the schema, read from a migrated database."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg

# Rows that name rows of a table without a foreign key: the audit (references_exist) checks them.
UNCHECKED = (
    ("waiting_room", "place", "room_id"),
    ("app_user", "place", "user_id"),
    ("app_user", "wallet", "user_id"),
    ("app_user", "reservation", "user_id"),
    ("show", "seat", "show_id"),
    ("show", "reservation", "show_id"),
    ("place", "reservation", "room_id"),
    ("reservation", "seat", "reservation_id"),
    ("reservation", "payment", "reservation_id"),
    ("wallet", "transfer", "user_id"),
    ("payment", "transfer", "reference"),
    ("payment", "ticket", "payment_id"),
    ("seat", "ticket", "number"),
    ("show", "sold_delta", "show_id"),
    ("draw", "drawn", "room_id"),
    ("waiting_room", "line_pace", "room_id"),
    ("waiting_room", "forecast", "room_id"),
)

_COLUMNS = """
SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type,
    a.attnotnull AS required,
    EXISTS (SELECT FROM pg_constraint AS k
            WHERE k.conrelid = c.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)) AS key,
    EXISTS (SELECT FROM pg_constraint AS k
            WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)) AS foreign
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
    AND NOT a.attisdropped AND NOT starts_with(c.relname, '_')
ORDER BY c.relname, a.attnum
"""
_FOREIGN_KEYS = """
SELECT k.confrelid::regclass::text AS of, k.conrelid::regclass::text AS in, a.attname AS by
FROM pg_constraint AS k
JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace
ORDER BY 1, 2, 3
"""
_INTRODUCTION = """\
# Schema

Generated from a migrated database by `make docs`. A solid line is a foreign key. A dashed line is a
reference without one, which saves the hot path a look-up and a lock for each row; `frontrow audit`
checks these references ([why](../design/architecture.md#lock-then-decide)). The tables are
defined and described in `src/frontrow/db/migrations/`.

"""


async def page(connection: "asyncpg.Connection[Any]") -> str:
    """Returns the page: Markdown with one Mermaid diagram of all tables."""
    return f"{_INTRODUCTION}```mermaid\n{await diagram(connection)}```\n"


async def diagram(
    connection: "asyncpg.Connection[Any]", only: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Returns the diagram of all tables and columns, or of the given ones only.

    Raises:
        ValueError: a named table or column doesn't exist.
    """
    columns = await connection.fetch(_COLUMNS)
    keys = [tuple(row) for row in await connection.fetch(_FOREIGN_KEYS)]
    known = {(row["table"], row["column"]) for row in columns}
    wanted = {(table, name) for table, names in (only or {}).items() for name in names}
    missing = [*(link for link in UNCHECKED if link[1:] not in known), *(wanted - known)]
    if missing:
        raise ValueError(f"no such columns: {missing}")
    if only is not None:
        columns = [row for row in columns if (row["table"], row["column"]) in wanted]
    shown = {row["table"] for row in columns}
    relations = [(*key, "--") for key in keys]
    relations += [(*link, "..") for link in UNCHECKED if link not in keys]
    lines = [
        *(
            _relation(one, many, by, line=line)
            for one, many, by, line in relations
            if {one, many} <= shown
        ),
        *_tables(columns),
    ]
    return "erDiagram\n" + "".join(f"    {line}\n" for line in lines)


def _relation(one: str, many: str, by: str, *, line: str) -> str:
    return f"{one} ||{line}o{{ {many} : {by}"


def _tables(columns: Iterable[Any]) -> Iterable[str]:
    table = None
    for row in columns:
        if row["table"] != table:
            if table is not None:
                yield "}"
            table = row["table"]
            yield f"{table} {{"
        # A type is one word in Mermaid.
        kind = row["type"].replace("timestamp with time zone", "timestamptz").replace(" ", "_")
        marks = ", ".join(
            mark for mark, there in (("PK", row["key"]), ("FK", row["foreign"])) if there
        )
        optional = "" if row["required"] else ' "optional"'
        yield f"    {kind} {row['column']}{' ' + marks if marks else ''}{optional}"
    yield "}"
