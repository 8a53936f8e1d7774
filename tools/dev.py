"""Runs the server for its developers and restarts it when a source file changes: ``make dev``.

The embedded database is started here, so it keeps running while the server restarts. A start of
the server applies new migrations, installs changed database functions and reads the templates,
scripts and styles of the pages: one restart covers a change of any kind.
"""

import os
import signal
import sys
from collections.abc import Mapping
from importlib.resources import files

from watchfiles import run_process

from frontrow.db.server import EmbeddedServer
from frontrow.settings import Settings

# Nothing is lost by a quick end: there are no visitors.
QUICK_END = {"FRONTROW_DRAIN_SECONDS": "0.5", "FRONTROW_LINGER_SECONDS": "0"}


def serve(more: Mapping[str, str]) -> None:
    """Runs ``frontrow serve --demo``, and again after each change, until a signal ends it."""
    os.environ.update({**QUICK_END, **os.environ, **more})
    run_process(
        str(files("frontrow")),
        target=f"{sys.executable} -m frontrow serve --demo",
        target_type="command",
        callback=lambda changes: print("changed:", *sorted(path for _, path in changes)),
    )


def main() -> None:
    """Starts the database, unless FRONTROW_DATABASE_URL names one, and the server."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = Settings()
    if settings.database_url is not None:
        serve({})
        return
    with EmbeddedServer(settings.data_dir) as server:
        serve(
            {
                "FRONTROW_DATABASE_URL": server.app_url,
                "FRONTROW_MIGRATION_DATABASE_URL": server.owner_url,
            }
        )


if __name__ == "__main__":
    main()
