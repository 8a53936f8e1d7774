"""Installs the features' database functions and pins the plans of the hot ones.

A line ``-- hot`` directly above ``CREATE OR REPLACE FUNCTION`` marks a function of which
``pins.sql`` fixes the plan (docs/design/adr/0011-pinned-plans.md).
"""

import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg

PACKAGE = Path(str(files("frontrow")))
HOT = re.compile(r"^-- hot\nCREATE OR REPLACE FUNCTION (\w+)\(", re.MULTILINE)

CREATE_DIGEST = """
    CREATE TABLE IF NOT EXISTS public._frontrow_functions
        (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), digest text NOT NULL)
"""
"""Creates the record of the installed functions. Without a row all are installed again."""
_WRITE_DIGEST = """
    INSERT INTO public._frontrow_functions (digest) VALUES ($1)
    ON CONFLICT (only_row) DO UPDATE SET digest = EXCLUDED.digest
"""


def function_files() -> list[Path]:
    """Returns the files of database functions in the features' folders."""
    return sorted(PACKAGE.rglob("*functions.sql"))


async def install(
    connection: "asyncpg.Connection[Any]", functions: Sequence[Path], *, replace: bool
) -> None:
    """Replaces all functions in one transaction, unless the database has these already.

    Takes no lock on a table that a running server uses.

    Args:
        connection: as the owner of the schema.
        functions: the files to install.
        replace: replaces them in any case.
    """
    texts = [path.read_text() for path in functions]
    pins = (PACKAGE / "db" / "pins.sql").read_text()
    digest = hashlib.sha256("\0".join([*texts, pins]).encode()).hexdigest()
    if not replace and await _installed(connection) == digest:
        return
    async with connection.transaction():
        # Functions may call each other across files, in any order.
        await connection.execute("SET LOCAL check_function_bodies = off")
        for text in texts:
            await connection.execute(text)
        hot = [name for text in texts for name in HOT.findall(text)]
        for (statement,) in await connection.fetch(pins, hot):
            await connection.execute(statement)
        await connection.execute(CREATE_DIGEST)
        await connection.execute(_WRITE_DIGEST, digest)


async def _installed(connection: "asyncpg.Connection[Any]") -> str | None:
    """Returns the digest of the functions that this database has."""
    if await connection.fetchval("SELECT to_regclass('public._frontrow_functions')") is None:
        return None
    digest: str | None = await connection.fetchval("SELECT digest FROM public._frontrow_functions")
    return digest
