"""Connects to the servers of a database URL, several of which may be silent.

asyncpg tries the servers of a URL one after the other, within one time limit for all of them: a
silent server hides those behind it. Here each server has its own time, and after a failure all are
tried at once.
"""

import asyncio
import socket
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from weakref import WeakKeyDictionary

import asyncpg

HOST_SECONDS = 2.0
"""Longest attempt to connect to one of several servers."""

# The system ends a connection whose peer's machine is gone: after 3 unanswered probes when idle,
# after 5 s with data that the peer has not confirmed (tcp(7)).
_KEEP_ALIVE = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 3),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 5_000),
)


class Hosts:
    """The servers of a database URL, and this process's connections to them.

    The server that accepted the last connection is tried first. A URL with several servers means
    their primary unless it has ``target_session_attrs``.
    """

    def __init__(self, database_url: str) -> None:
        self._urls = server_urls(database_url)
        # Of several servers only one takes writes.
        is_one_of_many = len(self._urls) > 1 and "target_session_attrs=" not in database_url
        self._options = {"target_session_attrs": "primary"} if is_one_of_many else {}
        self._last: str | None = None
        self._servers: WeakKeyDictionary[asyncpg.Connection[Any], str] = WeakKeyDictionary()
        self.answers: dict[str, str] = {}
        """The last answer of each server, by host and port: ``connected``, or why not."""

    async def connect(
        self,
        *,
        timeout: float,  # noqa: ASYNC109 - as asyncpg.connect
        **options: Any,  # noqa: ANN401 - as asyncpg.connect
    ) -> "asyncpg.Connection[Any]":
        """Connects to a suitable server.

        Args:
            timeout: longest time, in seconds; with several servers at most twice ``HOST_SECONDS``.
            **options: further arguments of ``asyncpg.connect``.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: the most telling
                of what the servers said.
        """
        options["timeout"] = min(timeout, HOST_SECONDS) if len(self._urls) > 1 else timeout
        if self._last is not None and len(self._urls) > 1:
            try:
                return await self._connect_to(self._last, options)
            except Exception:  # noqa: BLE001 - all are tried now, also this one
                self._last = None
        return await self._connect_to_any(options)

    async def _connect_to_any(self, options: dict[str, Any]) -> "asyncpg.Connection[Any]":
        attempts = {asyncio.create_task(self._connect_to(name, options)) for name in self._urls}
        errors: list[BaseException] = []
        try:
            while attempts:
                done, attempts = await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
                errors += [error for task in done if (error := task.exception()) is not None]
                connected = [task.result() for task in done if task.exception() is None]
                for extra in connected[1:]:
                    extra.terminate()
                if connected:
                    return connected[0]
        finally:
            for task in attempts:
                task.cancel()
                task.add_done_callback(_end_late)
        raise min(errors, key=lambda error: isinstance(error, OSError | TimeoutError))

    async def _connect_to(self, name: str, options: dict[str, Any]) -> "asyncpg.Connection[Any]":
        try:
            connection: asyncpg.Connection[Any] = await asyncpg.connect(
                self._urls[name], **self._options, **options
            )
        except Exception as error:
            self.answers[name] = _reason(error)
            raise
        self.answers[name] = "connected"
        self._last = name
        self._servers[connection] = name
        _detect_silence(connection)
        return connection

    def doubt(self) -> None:
        """Tries all servers at the next attempt, since the last one may be silent."""
        self._last = None

    def drop_all(self) -> None:
        """Ends all connections without waiting; their statements fail at once."""
        for connection in [*self._servers]:
            connection.terminate()

    def drop_others(self, connection: "asyncpg.Connection[Any]") -> None:
        """Ends all connections to other servers than that of one connection."""
        server = self._servers[connection]
        for other, name in [*self._servers.items()]:
            if name != server:
                other.terminate()


def _end_late(attempt: "asyncio.Task[asyncpg.Connection[Any]]") -> None:
    """Ends a connection that was made when nobody waited for it any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().terminate()


def server_urls(database_url: str) -> dict[str, str]:
    """Returns a URL for each server that a database URL names, by host and port.

    Both forms of libpq are read: ``//one:5432,two/`` and ``?host=one,two&port=5432,5432``.
    """
    url = urlsplit(database_url)
    query = parse_qs(url.query, keep_blank_values=True)
    names = query.get("host", [url.netloc.rpartition("@")[2]])[-1]
    if "," not in names:
        return {names: database_url}
    if "host" not in query:
        user, at, servers = url.netloc.rpartition("@")
        return {
            server: f"{url.scheme}://{user}{at}{server}{url.path}?{url.query}"
            for server in servers.split(",")
        }
    hosts = query.pop("host")[-1].split(",")
    ports = query.pop("port", ["5432"])[-1].split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    found = {}
    for host, port in zip(hosts, ports, strict=True):
        options = urlencode(query | {"host": [host], "port": [port]}, doseq=True, quote_via=quote)
        found[f"{host}:{port}"] = f"{url.scheme}://{url.netloc}{url.path}?{options}"
    return found


def _reason(error: BaseException) -> str:
    """Returns what a server said, in one line."""
    if isinstance(error, TimeoutError):
        return "no answer"
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__


def _detect_silence(connection: "asyncpg.Connection[Any]") -> None:
    """Makes the system end the connection soon after its peer has become silent."""
    # asyncpg has no public way to its socket.
    peer = connection._transport.get_extra_info("socket")  # noqa: SLF001
    if peer is None or peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for level, name, value in _KEEP_ALIVE:
        if hasattr(socket, name):  # some are Linux's
            peer.setsockopt(level, getattr(socket, name), value)
