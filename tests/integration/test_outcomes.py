"""Every outcome of a database function is accepted by its caller or maps to an error."""

import re
from collections.abc import AsyncIterator
from typing import Any, get_type_hints

import asyncpg
import pytest

from frontrow.db.outcomes import REFUSALS
from frontrow.db.queries import Query, row_of
from testkit.database import Database
from tests.integration.test_queries import QUERIES, labels_of

DECIDING = [
    query
    for query in QUERIES
    for row in [row_of(query.result)]
    if row is not None and "outcome" in row.__struct_fields__
]
# The functions that return an outcome, or one for each item.
SOURCES = """
    SELECT proname AS name, pg_get_functiondef(oid) AS text FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
        AND (prorettype = 'text'::regtype OR proargnames && ARRAY['outcome', 'outcomes'])
"""
RETURNED = re.compile(r"(?:THEN|ELSE|:=|SELECT(?: [\w.:]+,)?)\s+'(\w+)'")
# A call whose outcomes are not read.
DROPPED = re.compile(r"PERFORM (?:FROM )?\w+\(")
# Outcomes of a function below which its caller compares with, to answer something else.
REPLACED = re.compile(r"(?:<>|NOT IN|standing IN) \(?('\w+'(?:, '\w+')*)")


@pytest.fixture(scope="module")
async def sources(template: Database) -> AsyncIterator[dict[str, str]]:
    """Returns the texts of the functions that return outcomes, by name."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(template.owner_url)
    yield {row["name"]: row["text"] for row in await connection.fetch(SOURCES)}
    await connection.close()


def outcomes_of(name: str, sources: dict[str, str]) -> set[str]:
    """Returns the outcomes that a function can return, by its text and those that it calls."""
    text = DROPPED.sub("", sources[name])
    called = {other for other in sources if other != name and re.search(rf"\b{other}\(", text)}
    below = set().union(*(outcomes_of(other, sources) for other in called))
    replaced = set(re.findall(r"\w+", " ".join(REPLACED.findall(text))))
    return set(RETURNED.findall(text)) | (below - replaced)


@pytest.mark.parametrize("query", DECIDING, ids=lambda query: query.name)
def test_outcomes_are_those_of_the_function(query: Query, sources: dict[str, str]) -> None:
    """The row's type lists exactly what its function can return."""
    row = row_of(query.result)
    (name,) = [name for name in sources if f"{name}(" in query.statement.sql]
    assert labels_of(get_type_hints(row)["outcome"]) == outcomes_of(name, sources)


@pytest.mark.parametrize("query", DECIDING, ids=lambda query: query.name)
def test_outcomes_are_accepted_or_errors(query: Query) -> None:
    """An outcome that the caller doesn't accept has an error, and the row has its fields."""
    row: Any = row_of(query.result)
    declared = labels_of(get_type_hints(row)["outcome"])
    refused = declared - row.accepted - {"again"}
    assert row.accepted <= declared
    assert refused <= REFUSALS.keys()
    columns = {column for outcome in refused for column in REFUSALS[outcome].fields.values()}
    assert {column for column in columns if not hasattr(row, column)} == set()
