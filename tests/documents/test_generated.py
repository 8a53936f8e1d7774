"""What is generated stands in docs/ as the code gives it now: ``make docs`` writes it again."""

import asyncpg

from tests.conftest import Database
from tools import erd, errors
from tools.__main__ import DOCS, openapi


def test_the_openapi_document() -> None:
    """docs/openapi.json."""
    assert (DOCS / "openapi.json").read_text() == openapi()


def test_the_errors() -> None:
    """docs/errors.md."""
    assert (DOCS / "errors.md").read_text() == errors.page()


async def test_the_schema(template: Database) -> None:
    """docs/schema.md."""
    connection = await asyncpg.connect(template.owner_url)
    try:
        page = await erd.page(connection)
    finally:
        await connection.close()  # it is copied for other tests
    assert (DOCS / "schema.md").read_text() == page
