"""Generated documents are up to date: ``make docs`` writes them."""

import asyncpg

from testkit.database import Database
from tools import api_types, erd, errors, parts
from tools.__main__ import REFERENCE, ROOT, openapi


def test_openapi_document_is_up_to_date() -> None:
    """docs/reference/openapi.json."""
    assert (REFERENCE / "openapi.json").read_text() == openapi()


def test_types_of_the_api_are_up_to_date() -> None:
    """types/api.d.ts, which the scripts of the pages are checked with."""
    assert (ROOT / "types/api.d.ts").read_text() == api_types.declaration()


def test_errors_page_is_up_to_date() -> None:
    """docs/reference/errors.md."""
    assert (REFERENCE / "errors.md").read_text() == errors.page()


async def test_diagrams_of_the_schema_are_up_to_date(template: Database) -> None:
    """docs/reference/schema.md, and the core tables in both READMEs."""
    connection = await asyncpg.connect(template.owner_url)
    try:
        page, tables = await erd.page(connection), await parts.tables(connection)
    finally:
        await connection.close()  # other tests copy this database
    assert (REFERENCE / "schema.md").read_text() == page
    for name in ("README.md", "README.ko.md"):
        text = (ROOT / name).read_text()
        assert parts.with_parts(text, {"tables": tables}) == text


def test_layers_are_up_to_date() -> None:
    """In docs/design/architecture.md, in both languages."""
    for folder in ("docs/design", "docs/design/ko"):
        text = (ROOT / folder / "architecture.md").read_text()
        assert parts.with_parts(text, {"layers": parts.layers()}) == text


def test_table_of_calls_is_up_to_date() -> None:
    """In README.md."""
    text = (ROOT / "README.md").read_text()
    assert parts.with_parts(text, {"calls": parts.calls()}) == text
