"""Writes the generated documents: ``make docs``."""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import asyncpg

from frontrow.db.cluster import APP, DATABASE
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from frontrow.web.routes import document
from testkit.database import Database
from testkit.desk import open_desk
from testkit.every_call import make_every_call
from tools import api_pages, api_types, erd, errors, parts

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"


def openapi() -> str:
    """Returns the OpenAPI document as it is committed."""
    return json.dumps(document(), ensure_ascii=False, indent=1) + "\n"


async def _from_a_server(server: EmbeddedServer) -> dict[str, str]:
    """Returns the documents that need a migrated database, or a server on it."""
    await migrate(server.owner_url, app_role=APP)
    connection = await asyncpg.connect(server.owner_url)
    schema, tables = await erd.page(connection), await parts.tables(connection)
    await connection.close()
    database = Database(DATABASE, server.owner_url, server.app_url)
    async with open_desk(database) as desk:
        await make_every_call(desk)
        pages = api_pages.pages(desk.conformance.successes)
    shown = {
        "README.md": {"tables": tables, "calls": parts.calls()},
        "README.ko.md": {"tables": tables},
        "docs/design/architecture.md": {"layers": parts.layers()},
        "docs/design/ko/architecture.md": {"layers": parts.layers()},
    }
    return {
        **{
            name: parts.with_parts((ROOT / name).read_text(), generated)
            for name, generated in shown.items()
        },
        "docs/reference/schema.md": schema,
        **{f"docs/reference/api/{name}.md": text for name, text in pages.items()},
    }


def main() -> None:
    """Writes all generated documents."""
    folder = Path(tempfile.mkdtemp(prefix="frontrow-docs-"))
    try:
        with EmbeddedServer(folder) as server:
            found = asyncio.run(_from_a_server(server))
    finally:
        shutil.rmtree(folder)
    found |= {
        "docs/reference/openapi.json": openapi(),
        "docs/reference/errors.md": errors.page(),
        "types/api.d.ts": api_types.declaration(),
    }
    (REFERENCE / "api").mkdir(exist_ok=True)
    for name, text in found.items():
        page = ROOT / name
        if page.parent.name == "api" and page.exists():
            text = api_pages.settled(page.read_text(), text)  # noqa: PLW2901 - what is written
        page.write_text(text)
        print(name)


if __name__ == "__main__":
    main()
