"""What is generated stands in docs/ as the code gives it now: ``make docs`` writes it again."""

import asyncpg

from tests.conftest import Database
from tools import erd, errors
from tools.__main__ import REFERENCE, openapi


def test_the_openapi_document() -> None:
    """docs/reference/openapi.json."""
    assert (REFERENCE / "openapi.json").read_text() == openapi()


def test_the_errors() -> None:
    """docs/reference/errors.md."""
    assert (REFERENCE / "errors.md").read_text() == errors.page()


async def test_the_schema(template: Database) -> None:
    """docs/reference/schema.md."""
    connection = await asyncpg.connect(template.owner_url)
    try:
        page = await erd.page(connection)
    finally:
        await connection.close()  # it is copied for other tests
    assert (REFERENCE / "schema.md").read_text() == page
