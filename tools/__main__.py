"""Writes the documents that follow from the code: ``make docs``."""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import asyncpg

from frontrow.db.cluster import APP, DATABASE
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from frontrow.web.openapi import document
from tests.conftest import Database
from tests.web.fans import open_desk
from tests.web.test_contract import test_every_documented_success_is_seen as go_through_everything
from tools import api_pages, erd, errors

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"


def openapi() -> str:
    """The OpenAPI document as it is committed."""
    return json.dumps(document(), ensure_ascii=False, indent=1) + "\n"


async def _from_a_server(server: EmbeddedServer) -> dict[str, str]:
    """What takes a migrated database, and a server on it."""
    await migrate(server.owner_url, app_role=APP)
    connection = await asyncpg.connect(server.owner_url)
    schema = await erd.page(connection)
    await connection.close()
    database = Database(DATABASE, server.owner_url, server.app_url)
    async with open_desk(database) as desk:
        await go_through_everything(desk)
        pages = api_pages.pages(desk.conformance.successes)
    return {"schema.md": schema} | {f"api/{name}.md": text for name, text in pages.items()}


def main() -> None:
    """Writes them all."""
    folder = Path(tempfile.mkdtemp(prefix="frontrow-docs-"))
    try:
        with EmbeddedServer(folder) as server:
            found = asyncio.run(_from_a_server(server))
    finally:
        shutil.rmtree(folder)
    found |= {"openapi.json": openapi(), "errors.md": errors.page()}
    (REFERENCE / "api").mkdir(exist_ok=True)
    for name, text in found.items():
        (REFERENCE / name).write_text(text)
        print(f"docs/reference/{name}")  # noqa: T201 - says what it wrote


if __name__ == "__main__":
    main()
