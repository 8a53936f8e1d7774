"""The cost of typed rows and batches, per item: ``python -m benchmarks.typed_rows``.

Compares, in turns: reading the columns of a row by string keys, and decoding it into a struct and
reading that; sending a batch as one array for each field, and as one array of a composite type.
Starts an embedded PostgreSQL in a temporary folder.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import starmap
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import uvloop
from msgspec.structs import astuple

from frontrow.db.queries import Item, Row
from frontrow.db.server import EmbeddedServer

ITEMS = 1_000
TURNS = 200

TYPE = "CREATE TYPE item AS (room int, number int, place uuid, owner uuid, id uuid, amount bigint)"
ARRAYS = """
    SELECT k.room, k.number, k.place, k.owner, k.id, k.amount
    FROM unnest($1::int[], $2::int[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[])
        AS k (room, number, place, owner, id, amount)
"""
COMPOSITE = """
    SELECT k.room, k.number, k.place, k.owner, k.id, k.amount FROM unnest($1::item[]) AS k
"""


class Charge(Item, frozen=True):
    """An item of a batch."""

    room: int
    number: int
    place: UUID
    owner: UUID
    id: UUID
    amount: int


class Charged(Row, frozen=True):
    """A row of the answer."""

    room: int
    number: int
    place: UUID
    owner: UUID
    id: UUID
    amount: int


def by_key(records: list[Any]) -> object:
    """Reads all columns by name."""
    return [(r["room"], r["number"], r["place"], r["owner"], r["id"], r["amount"]) for r in records]


def by_field(records: list[Any]) -> object:
    """Decodes rows and reads all fields."""
    rows = list(starmap(Charged, records))
    return [(r.room, r.number, r.place, r.owner, r.id, r.amount) for r in rows]


async def measure(url: str) -> dict[str, float]:
    """Returns nanoseconds per item, by label."""
    connection = await asyncpg.connect(url)
    await connection.execute(TYPE)
    arrays, composite = await connection.prepare(ARRAYS), await connection.prepare(COMPOSITE)
    items = [Charge(1, n, uuid4(), uuid4(), uuid4(), 5) for n in range(ITEMS)]
    records = await arrays.fetch(*zip(*map(astuple, items), strict=True))

    async def read(how: Callable[[list[Any]], object]) -> None:
        how(records)

    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "read by key": lambda: read(by_key),
        "decode and read a struct": lambda: read(by_field),
        "one array for each field": lambda: arrays.fetch(*zip(*map(astuple, items), strict=True)),
        "one array of a composite": lambda: composite.fetch([*map(astuple, items)]),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            started = time.perf_counter()
            await way()
            took[name].append(time.perf_counter() - started)
    await connection.close()
    return {name: statistics.median(times) / ITEMS * 1e9 for name, times in took.items()}


def main() -> None:
    """Runs the benchmark."""
    folder = Path(tempfile.mkdtemp(prefix="frontrow-benchmark-"))
    try:
        with EmbeddedServer(folder) as server:
            found = uvloop.run(measure(server.owner_url))
    finally:
        shutil.rmtree(folder)
    for name, nanoseconds in found.items():
        print(f"{name:30}{nanoseconds:8.0f} ns an item")


if __name__ == "__main__":
    main()
