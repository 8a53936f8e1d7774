"""Opens one connection to a PostgreSQL, or says in one line why it can't.

No message shows a password.
"""

import asyncio
import re
import time
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import structlog

from frontrow.db.hosts import Hosts
from frontrow.errors import SetupError, WrongUse

RETRY_SECONDS = 0.2
SCHEMES = ("postgresql://", "postgres://")
# Errors of a server that is restarting or failing over: worth another try.
PASSING = (
    TimeoutError,  # of one attempt
    ConnectionRefusedError,
    FileNotFoundError,  # the socket of a server that is about to start
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.exceptions.TargetServerAttributeNotMatched,
)
EXPECTED = (
    OSError,
    TimeoutError,
    ValueError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

log = structlog.get_logger()


async def connect(
    dsn: str, *, timeout_seconds: float, **server_settings: str
) -> "asyncpg.Connection[Any]":
    """Connects within ``timeout_seconds``, also to a server that is starting. Raises SetupError."""
    if not dsn.startswith(SCHEMES):
        raise connect_error(ValueError(), dsn)  # an empty one would mean this machine's defaults
    try:
        hosts = Hosts(dsn)
    except ValueError as error:
        raise connect_error(error, dsn) from None
    deadline = time.monotonic() + timeout_seconds
    said = False
    reason: BaseException = TimeoutError()
    while True:
        left = max(deadline - time.monotonic(), 0.1)
        try:
            return await hosts.connect(timeout=left, server_settings=server_settings)
        except EXPECTED as error:
            # The last attempt may have had no time: an earlier one explains more.
            if not isinstance(error, TimeoutError):
                reason = error
            if not isinstance(error, PASSING) or time.monotonic() + RETRY_SECONDS > deadline:
                raise connect_error(reason, dsn) from None
        if not said:
            said = True
            log.info("waiting for the database", database=place(dsn), seconds=timeout_seconds)
        await asyncio.sleep(RETRY_SECONDS)


def place(dsn: str) -> str:
    """Returns the database of a URL, without user and password."""
    try:
        url = urlsplit(dsn)
    except ValueError:
        return "the database"
    host = url.netloc.rpartition("@")[2]
    if not host:
        named = re.search(r"(?:^|&)host=([^&]*)", url.query)
        host = unquote(named.group(1)) if named else "localhost"
    return f"{host}{unquote(url.path)}"


def connect_error(error: BaseException, dsn: str) -> SetupError:
    """Returns why ``dsn`` can't be used, in one line and without the password."""
    where = place(dsn)
    match error:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            text = f"the database at {where} refuses the user or the password of the URL"
        case asyncpg.InvalidCatalogNameError():
            text = f"the database {where} doesn't exist: create it, or correct the URL"
        case asyncpg.CannotConnectNowError():
            text = f"the database at {where} takes no connections now (starting or stopping)"
        case asyncpg.TooManyConnectionsError():
            text = f"the database at {where} has no connection left"
        case asyncpg.exceptions.TargetServerAttributeNotMatched():
            text = f"none of the servers at {where} matches target_session_attrs"
        case asyncpg.exceptions.ClientConfigurationError() | ValueError():
            # Any part of an unreadable URL may be the password.
            return WrongUse(
                "the database URL can't be read: it must look like "
                "postgresql://user:password@host:5432/database"
            )
        case TimeoutError():
            text = f"the database at {where} doesn't answer in time"
        case ConnectionRefusedError() | FileNotFoundError():
            text = f"nothing answers at {where}: is the database running?"
        case OSError() as system:
            text = f"the database at {where} can't be reached: {_one_line(system)}"
        case _:
            text = f"the database at {where} refuses: {_one_line(error)}"
    return SetupError(_redacted(text, dsn))


def _one_line(error: BaseException) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error)).split())


def _redacted(text: str, dsn: str) -> str:
    """Returns the text without the password, which a message may repeat."""
    secrets = re.findall(r"://[^:/@]*:([^@]*)@", dsn) + re.findall(r"password=([^&]*)", dsn)
    for secret in {*secrets, *map(unquote, secrets)} - {""}:
        text = text.replace(secret, "…")
    return text
