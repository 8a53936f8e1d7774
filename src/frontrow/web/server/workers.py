"""The processes that answer HTTP: this one, or several workers that share an address.

uvicorn runs the application; this module owns the processes. A worker that dies is replaced, and no
worker outlives its parent.
"""

import asyncio
import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess

import structlog
import uvicorn
from prometheus_client.multiprocess import mark_process_dead

from frontrow import logs
from frontrow.errors import SetupError
from frontrow.settings import Settings
from frontrow.web.server.connections import raise_file_limit
from frontrow.web.server.protocol import protocol_for

APPLICATION = "frontrow.web.app:create_app"
MOCK = "frontrow.web.mock:create_mock"
BACKLOG = 4096
FAILURE = 1  # a worker's exit code when the application doesn't start
RESTART_SECONDS = 0.5  # pause before a worker that couldn't start is replaced
GRACE_SECONDS = 5.0  # after the drain, for the rest of a worker's shutdown
ORPHAN_SECONDS = 1.0
_LOOK_SECONDS = 0.05
_STARTED = b"started"

log = structlog.get_logger()


def run_mock(settings: Settings, listening: socket.socket) -> None:
    """Serves the mock of the API on ``listening``, a listening socket, until a signal ends it."""
    _serve(settings, listening, None, MOCK)


def run(settings: Settings, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serves on ``listening`` until a signal ends it, or KeyboardInterrupt is raised.

    The application reads its settings from the environment (``Settings.to_environment``).

    Args:
        settings: the settings, also in the environment.
        listening: a bound socket.
        started: called once, when the first process answers.

    Raises:
        SetupError: the application can't start.
    """
    raise_file_limit()
    if settings.workers == 1:
        listening.listen(BACKLOG)
        _serve(settings, listening, started)
    else:
        _Workers(settings, listening, started).run()


def end_with_parent() -> None:
    """Ends this worker soon after its parent has ended for any reason.

    An orphan would keep the port. It stops listening at once and has a second for running calls.
    Does nothing in a process that isn't a worker.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def _spread(listening: socket.socket, count: int) -> list[socket.socket]:
    """Returns a listening socket for each of ``count`` workers, at the address of ``listening``.

    If workers share one socket, the first to wake takes all connections until it is busy. Linux
    spreads connections evenly over several sockets; on other systems the workers share one.
    """
    sockets = [listening]
    if sys.platform == "linux":
        # Set after bind, so that the address is busy for every other program.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for _ in range(count - 1):
            another = socket.socket(listening.family, listening.type, listening.proto)
            another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            another.bind(listening.getsockname())
            sockets.append(another)
    for one in sockets:
        one.listen(BACKLOG)
    return [sockets[index % len(sockets)] for index in range(count)]


class DrainingServer(uvicorn.Server):
    """A uvicorn server that reports its start, and drains the application before it stops."""

    def __init__(
        self, config: uvicorn.Config, on_start: Callable[[], None] | None, *, linger_seconds: float
    ) -> None:
        super().__init__(config)
        self._on_start = on_start
        self._linger_seconds = linger_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts as uvicorn does, then reports it."""
        await super().startup(sockets)
        if self.started and self._on_start is not None:
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drains the application and its connections, then stops as uvicorn does."""
        drain = getattr(self.config.loaded_app, "drain", None)
        if drain is not None:
            drain()
        await self._stop_listening(sockets or [])
        await self._linger()
        await super().shutdown(sockets)

    async def _stop_listening(self, sockets: Sequence[socket.socket]) -> None:
        """Stops listening, after accepting the connections that the kernel has established.

        Closing the socket would reset them, with the requests they may have sent.
        """
        waiting = [connection for listening in sockets for connection in _accepted(listening)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        """Creates the protocol of a connection, as uvicorn does."""
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def _linger(self) -> None:
        """Answers further requests on open connections, each with ``Connection: close``.

        A proxy may be sending a request at this moment; closing the connection would lose it.
        """
        if self._linger_seconds == 0:
            return
        state = self.server_state
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        deadline = time.monotonic() + self._linger_seconds
        # uvicorn has no event for a closed connection.
        while state.connections and not self.force_exit and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)


def _accepted(listening: socket.socket) -> Iterator[socket.socket]:
    """Yields the established connections of a socket that were not accepted yet."""
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            yield connection


def _serve(
    settings: Settings,
    listening: socket.socket,
    started: Callable[[], None] | None,
    application: str = APPLICATION,
) -> None:
    """Runs the application in this process."""
    config = uvicorn.Config(
        application,
        factory=True,
        loop="auto",  # uvloop if installed
        http=protocol_for(settings),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )
    server = DrainingServer(config, started, linger_seconds=settings.linger_seconds)
    try:
        with _hang_up_ends(server):
            server.run(sockets=[listening])
    except SystemExit:
        pass  # uvicorn has logged the error
    except SetupError:
        raise
    except Exception:
        if server.started:
            raise
        log.exception("the application failed")
    if not server.started:
        msg = "the application didn't start; see the log above"
        raise SetupError(msg)


@contextlib.contextmanager
def _hang_up_ends(server: uvicorn.Server) -> Iterator[None]:
    """Makes SIGHUP (a closed terminal) drain the server, as SIGTERM does in uvicorn."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGHUP, server.handle_exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _work(settings: Settings, listening: socket.socket, parent: Connection) -> None:
    """The body of a worker process."""
    end_with_parent()
    logs.configure(settings.log_format, settings.log_level)

    def started() -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent has ended: this process will too
            parent.send_bytes(_STARTED)

    try:
        _serve(settings, listening, started)
    except SetupError as error:
        log.error(str(error))  # noqa: TRY400 - a traceback would add nothing
        raise SystemExit(FAILURE) from None


class _Workers:
    """The worker processes of a server, managed by their parent.

    The parent keeps their sockets open: connections to a worker that died wait for its successor.
    """

    def __init__(
        self, settings: Settings, listening: socket.socket, on_start: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._on_start = on_start
        self._started = False
        self._sockets = _spread(listening, settings.workers)
        self._context: SpawnContext = multiprocessing.get_context("spawn")
        # A worker reports its start with one write, so that a killed one can't leave half of it.
        self._reports, self._reporting = self._context.Pipe(duplex=False)
        self._processes: list[SpawnProcess] = []

    def run(self) -> None:
        try:
            for listening in self._sockets:
                self._processes.append(self._start(listening))
            while True:
                ended = multiprocessing.connection.wait(
                    [self._reports, *(process.sentinel for process in self._processes)]
                )
                if self._reports in ended:
                    self._on_report()
                for process in [p for p in self._processes if p.sentinel in ended]:
                    self._replace(process)
        finally:
            self._stop()

    def _on_report(self) -> None:
        """Reads a worker's report; the first one starts the server."""
        self._reports.recv_bytes()
        if not self._started:
            self._started = True
            self._on_start()

    def _start(self, listening: socket.socket) -> SpawnProcess:
        process = self._context.Process(
            target=_work,
            args=(self._settings, listening, self._reporting),
            name="frontrow-worker",
        )
        # Ctrl-C in a terminal reaches the whole process group, but workers must leave it to their
        # parent. They inherit the mask; a signal that arrives meanwhile stays pending here. The
        # resource tracker is started before, since its start unblocks the signal again.
        multiprocessing.resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return process

    def _replace(self, process: SpawnProcess) -> None:
        """Replaces a worker that ended; gives up if no worker has ever started."""
        process.join()
        if self._settings.metrics_dir is not None and process.pid is not None:
            # Removes its gauges, such as that of open streams.
            mark_process_dead(process.pid, str(self._settings.metrics_dir))  # type: ignore[no-untyped-call]
        if (process.exitcode or 0) > 0:  # it exited; a killed one has its signal, negative
            if not self._started:
                msg = "the application didn't start; see the log above"
                raise SetupError(msg)
            # The cause may be temporary, such as a restart of the database.
            time.sleep(RESTART_SECONDS)
        log.error("a worker died and is replaced", pid=process.pid, exit_code=process.exitcode)
        index = self._processes.index(process)
        self._processes[index] = self._start(self._sockets[index])

    def _stop(self) -> None:
        """Lets every worker finish its running calls, then kills those that don't end."""
        for listening in self._sockets:
            listening.close()
        for process in multiprocessing.active_children():
            process.terminate()
        deadline = (
            time.monotonic()
            + self._settings.linger_seconds
            + self._settings.drain_seconds
            + GRACE_SECONDS
        )
        for process in multiprocessing.active_children():
            process.join(max(0.0, deadline - time.monotonic()))
        for process in multiprocessing.active_children():
            log.warning("a worker doesn't stop and is killed", pid=process.pid)
            process.kill()
            process.join()
