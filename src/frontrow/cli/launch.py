"""Starts all parts of ``frontrow serve`` in order, and stops them in reverse order.

The port, the database, its schema, the operator's key, the environment of the workers, the
workers. Each step undoes itself when a later one fails.
"""

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from frontrow.cli.shared_metrics import metrics_folder
from frontrow.db import backup, migrate, schema_role
from frontrow.db.cluster import APP
from frontrow.db.connect import connect, place
from frontrow.db.data_directory import DataDirectory
from frontrow.db.durability import Durability
from frontrow.db.durability import read as read_durability
from frontrow.db.server import EmbeddedServer, running_urls
from frontrow.errors import SetupError
from frontrow.settings import Settings

# The workers of a killed server end within a second and then free the port.
PORT_PATIENCE_SECONDS = 2.0

log = structlog.get_logger()


@dataclass(frozen=True)
class Access:
    """The URLs of one database: as the application and as the owner of the schema."""

    app_url: str
    owner_url: str
    description: str


@dataclass(frozen=True)
class Started:
    """What an operator needs to know of a server that answers.

    ``key_file`` has the operator key unless the settings have it; ``new_key`` was created now.
    """

    base: str
    data: str
    durability: str
    workers: int
    key_file: Path | None = None
    new_key: str | None = None


def serve(settings: Settings, *, demo: bool, announce: Callable[[Started], None]) -> None:
    """Starts everything, serves until a signal, and stops everything.

    Args:
        settings: the settings of the server.
        demo: whether to create the demo concerts.
        announce: called when the application answers.

    Raises:
        SetupError: the server can't start.
    """
    with contextlib.ExitStack() as stack:
        try:
            listening = stack.enter_context(listen(settings))
            metrics = stack.enter_context(metrics_folder())
            # The metrics library reads the variable when it is imported.
            stack.enter_context(_variables({"PROMETHEUS_MULTIPROC_DIR": str(metrics)}))
            access = stack.enter_context(_database(settings))
            durability = asyncio.run(_prepare(access, settings, demo=demo))
            key, is_new, key_file = _operator_key(settings)
            settings = stack.enter_context(
                _environment(
                    settings, access.app_url, key, port=listening.getsockname()[1], metrics=metrics
                )
            )
            started = Started(
                base=base_url(settings.host, settings.port),
                data=access.description,
                durability=durability.says,
                workers=settings.workers,
                key_file=key_file,
                new_key=key if is_new else None,
            )
            # Imported here, after the variable of the metrics is set.
            run = import_module("frontrow.web.server.workers").run
            run(settings, listening, lambda: announce(started))
        except KeyboardInterrupt:
            log.info("stopping")


def mock(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Serves the mock of the API until a signal; ``announce`` gets its URL. Raises SetupError."""
    with contextlib.ExitStack() as stack:
        try:
            listening = stack.enter_context(listen(settings))
            listening.listen()  # a reader of the announced address may call it at once
            announce(base_url(settings.host, listening.getsockname()[1]))
            import_module("frontrow.web.server.workers").run_mock(settings, listening)
        except KeyboardInterrupt:
            log.info("stopping")


def migrate_database(settings: Settings) -> list[str]:
    """Migrates the database of the settings, running or not. Returns the applied migrations."""
    with _found(settings, make=True) as access:
        return asyncio.run(_migrate(access, settings))


def back_up(settings: Settings, file: Path) -> int:
    """Backs up the database, running or not, into a file. Returns its size in bytes."""
    with _found(settings, make=False) as access:
        return backup.dump(asyncio.run(_schema_url(access, settings)), file)


@contextlib.contextmanager
def restored(settings: Settings, file: Path) -> Iterator[str]:
    """Restores a backup into an empty database and migrates it. Yields the database's URL.

    May be repeated after a failure or an interruption of any kind.
    """
    backup.check(file)
    timeout = settings.connect_timeout_seconds
    with _database(settings) as access:
        done = backup.is_restored(access.owner_url, file, connect_timeout_seconds=timeout)
        if not asyncio.run(done):
            owner_url = asyncio.run(_schema_url(access, settings))
            asyncio.run(backup.restore(owner_url, file, connect_timeout_seconds=timeout))
        asyncio.run(_migrate(access, settings))
        yield access.app_url


@contextlib.contextmanager
def live_database(settings: Settings) -> Iterator[str]:
    """Yields the URL of the migrated database of the settings; starts an embedded one if needed."""
    with _found(settings, make=False) as access:
        asyncio.run(_check_current(access.app_url, settings))
        yield access.app_url


@contextlib.contextmanager
def live_connections(
    settings: Settings,
) -> Iterator[Callable[[Callable[[Any], Awaitable[Any]]], Any]]:
    """Yields a function that runs an action, each time with a connection to the live database."""

    async def connected(do: Callable[[Any], Awaitable[Any]]) -> object:
        database = await connect(url, timeout_seconds=settings.connect_timeout_seconds)
        try:
            return await do(database)
        finally:
            await database.close()

    with live_database(settings) as url:
        yield lambda do: asyncio.run(connected(do))


@contextlib.contextmanager
def _found(settings: Settings, *, make: bool) -> Iterator[Access]:
    """Yields the database of the settings, running or started; creates it only with ``make``."""
    running = None if settings.database_url else running_urls(settings.data_dir)
    if running is not None:
        yield Access(owner_url=running[0], app_url=running[1], description="")
    else:
        if not make:
            _check_there(settings)
        with _database(settings) as access:
            yield access


def _check_there(settings: Settings) -> None:
    """Raises SetupError if the embedded database doesn't exist."""
    if settings.database_url is not None:
        return
    folder = DataDirectory(settings.data_dir)
    if not folder.database.exists():
        msg = f"there is no database in {folder.path}: start frontrow serve first"
        raise SetupError(msg)


@contextlib.contextmanager
def listen(settings: Settings) -> Iterator[socket.socket]:
    """Yields a socket bound to the address of the settings. Raises SetupError."""
    address = f"{settings.host}:{settings.port}"
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        msg = f"can't listen on {address}: {error.strerror}"
        raise SetupError(msg) from None
    with socket.socket(family, kind, protocol) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deadline = time.monotonic() + PORT_PATIENCE_SECONDS
        while True:
            try:
                listening.bind(where)
                break
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    if time.monotonic() < deadline:
                        time.sleep(0.05)
                        continue
                    msg = f"port {settings.port} is busy: another program listens on {address}"
                else:
                    msg = f"can't listen on {address}: {(error.strerror or str(error)).lower()}"
                raise SetupError(msg) from None
        yield listening


@contextlib.contextmanager
def _database(settings: Settings) -> Iterator[Access]:
    """Yields the external database, or the embedded one while the block runs."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        owner = settings.migration_database_url
        owner_url = owner.get_secret_value() if owner else url
        yield Access(url, owner_url, f"PostgreSQL at {place(url)}")
        return
    with EmbeddedServer(settings.data_dir) as server:
        description = f"{server.directory.path} (embedded PostgreSQL)"
        yield Access(server.app_url, server.owner_url, description)


async def _migrate(access: Access, settings: Settings) -> list[str]:
    timeout = settings.connect_timeout_seconds
    if settings.database_url is None:
        app_role: str | None = APP
    elif access.owner_url == access.app_url:
        app_role = None
    else:
        app_role = await migrate.role_of(access.app_url, connect_timeout_seconds=timeout)
    return await migrate.migrate(
        await _schema_url(access, settings), app_role=app_role, connect_timeout_seconds=timeout
    )


async def _schema_url(access: Access, settings: Settings) -> str:
    """Returns the URL of the schema's owner; of an embedded database, a role without superuser."""
    if settings.database_url is not None:
        return access.owner_url
    timeout = settings.connect_timeout_seconds
    return await schema_role.login(access.owner_url, timeout_seconds=timeout)


async def _prepare(access: Access, settings: Settings, *, demo: bool) -> Durability:
    await _migrate(access, settings)
    connection = await connect(access.app_url, timeout_seconds=settings.connect_timeout_seconds)
    try:
        # Each worker checks it too, but there a failure would be a traceback.
        agree = import_module("frontrow.concerts.service").agree_on_currency
        await agree(connection, settings.currency)
        durability = await read_durability(connection)
    finally:
        await connection.close()
    if demo:
        await import_module("frontrow.cli.demo").seed(access.app_url, currency=settings.currency)
    if durability.risky:
        log.warning("acknowledged payments may be lost", because=durability.says)
    return durability


async def _check_current(url: str, settings: Settings) -> None:
    connection = await connect(url, timeout_seconds=settings.connect_timeout_seconds)
    try:
        await migrate.check_server(connection)
        await migrate.refuse_newer(connection)
        missing = await migrate.pending(connection)
    finally:
        await connection.close()
    if missing:
        msg = f"the database lacks {', '.join(missing)}: run frontrow migrate first"
        raise SetupError(msg)


def _operator_key(settings: Settings) -> tuple[str, bool, Path | None]:
    """Returns the operator key, whether it was created now, and its file."""
    if settings.operator_key is not None:
        return settings.operator_key.get_secret_value(), False, None
    try:
        directory = DataDirectory(settings.data_dir)
        directory.prepare()
        return *directory.operator_key(), directory.operator_key_file
    except SetupError as error:
        msg = f"{error}; the operator key is stored there unless FRONTROW_OPERATOR_KEY is set"
        raise SetupError(msg) from None


@contextlib.contextmanager
def _environment(
    settings: Settings, url: str, key: str, *, port: int, metrics: Path
) -> Iterator[Settings]:
    """Puts the workers' settings into the environment."""
    complete = settings.model_copy(
        update={
            "port": port,
            "database_url": SecretStr(url),
            "operator_key": SecretStr(key),
            # A worker never migrates and doesn't need the right to.
            "migration_database_url": None,
            "metrics_dir": metrics,
        }
    )
    with _variables({"FRONTROW_MIGRATION_DATABASE_URL": None, **complete.to_environment()}):
        yield complete


@contextlib.contextmanager
def _variables(wanted: Mapping[str, str | None]) -> Iterator[None]:
    """Sets variables of the environment, or removes them, while the block runs."""
    before = {name: os.environ.get(name) for name in wanted}
    try:
        _set_environment(wanted)
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def base_url(host: str, port: int) -> str:
    """Returns the URL of a server on this address from this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
