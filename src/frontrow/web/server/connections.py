"""The open connections of a process: how many there may be, of one address and in all."""

import asyncio
import math
import resource
from collections import Counter
from time import monotonic
from typing import Protocol

import structlog

from frontrow.errors import DomainError, Overloaded, RateLimited
from frontrow.metrics import RATE_LIMITED
from frontrow.settings import Settings
from frontrow.web.access.client_addresses import ClientAddresses

_log = structlog.get_logger(__name__)

_MOST_FILES = 131_072
"""Enough for any process; the limit of the container or the unit is often less."""
_OTHER_FILES = 256
"""Files that are no connections: the database's, the log, exports, modules."""
_EVICTED_SHARE = 0.1
_LOG_SECONDS = 60.0
_CHECK_SECONDS = 60.0
_LEAST_BYTES = 15_000
"""Least of a ready answer that a client takes between two checks: 250 bytes a second."""


class Connection(Protocol):
    """A connection of a client."""

    @property
    def client(self) -> tuple[str, int] | None:
        """The address and port of its client; ``None`` on a Unix socket."""

    @property
    def is_answering(self) -> bool:
        """Whether a request is being answered."""

    @property
    def is_unread(self) -> bool:
        """Whether its client hasn't taken what is ready to be sent."""

    def close(self) -> None:
        """Closes it at once."""

    def check_reading(self, least_bytes: int) -> None:
        """Cuts off a client that has taken less than this of what was ready at the last check."""


def raise_file_limit() -> None:
    """Lets this process, and those that it starts, open as many files as the system allows.

    The usual limit is 1,024: fewer connections than one client can open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Connections:
    """Counts the open connections of a process.

    Clients of this machine and of trusted proxies are not counted by address, as for rate limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._client_of = ClientAddresses(settings).of
        of_address = settings.address_connections / settings.workers
        self._most_of_address = max(1, math.ceil(of_address)) if of_address else math.inf
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(files // 2, files - _OTHER_FILES - settings.pool_connections)
        # In order of opening.
        self._open: dict[Connection, str | None] = {}
        self._of_address: Counter[str] = Counter()
        self._logged_at = -math.inf
        self._is_checked = False

    def enter(self, connection: Connection) -> DomainError | None:
        """Adds a connection. Returns why it is refused; ``None`` if it isn't."""
        address = self._client_of({"client": connection.client, "headers": ()})
        if address is not None and self._of_address[address] >= self._most_of_address:
            RATE_LIMITED.labels("connections").inc()
            self._log_refusal(address)
            return RateLimited("Too many connections from one address.")
        if len(self._open) >= self._most and not self._make_room():
            return Overloaded()
        self._open[connection] = address
        if address is not None:
            self._of_address[address] += 1
        if not self._is_checked:
            self._is_checked = True
            asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check_reading)
        return None

    def _check_reading(self) -> None:
        """Checks all connections again and again, while there are any.

        A timer for each answer would cost more, and miss answers whose connection is closed.
        """
        for connection in list(self._open):
            connection.check_reading(_LEAST_BYTES)
        self._is_checked = bool(self._open)
        if self._is_checked:
            asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check_reading)

    def leave(self, connection: Connection) -> None:
        """Removes a connection; does nothing if it was refused."""
        address = self._open.pop(connection, None)
        if address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def _make_room(self) -> bool:
        """Closes the oldest connections without a running request. Returns whether there were any.

        Such a connection loses nothing: a client sends its request again on another one. If none is
        without a request, the oldest unread ones are closed.
        """
        unused = [connection for connection in self._open if not connection.is_answering]
        unused = unused or [connection for connection in self._open if connection.is_unread]
        for connection in unused[: math.ceil(_EVICTED_SHARE * len(unused))]:
            self.leave(connection)
            connection.close()
        return bool(unused)

    def _log_refusal(self, address: str) -> None:
        now = monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            _log.warning("too many connections", address=address, limit=self._most_of_address)
