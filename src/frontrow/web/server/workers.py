"""The processes that answer HTTP: one in place, or several that share an address.

uvicorn runs the application; this module owns the processes around it. A worker that dies is
replaced, and none outlives its parent.
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

APPLICATION = "frontrow.web.app:create_app"
MOCK = "frontrow.web.mock:create_mock"
PROTOCOL = "frontrow.web.server.protocol:Protocol"
BACKLOG = 4096
FAILURE = 1  # a worker's exit code when the application doesn't start
RESTART_SECONDS = 0.5  # pause before a worker that couldn't start tries again
GRACE_SECONDS = 5.0  # beyond the drain, for the rest of a worker's end
ORPHAN_SECONDS = 1.0
_LOOK_SECONDS = 0.05
_STARTED = b"started"

log = structlog.get_logger()


def run_mock(settings: Settings, listening: socket.socket) -> None:
    """Serve the mock of the API on ``listening``, which listens already, until a signal ends it."""
    _serve(settings, listening, None, MOCK)


def run(settings: Settings, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve on ``listening`` until a signal ends it (KeyboardInterrupt, out of here or inside).

    ``started`` is called once, when the first process answers.
    The settings must be in the environment (``Settings.to_environment``): that is where the
    application finds them. Raises SetupError where the application can't start.
    """
    if settings.workers == 1:
        listening.listen(BACKLOG)
        _serve(settings, listening, started)
    else:
        _Workers(settings, listening, started).run()


def end_with_parent() -> None:
    """End this process soon after the one that started it, however that one ended.

    Orphans would keep the port. They stop listening at once and have a second for what is running.
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
    """A socket for each of so many workers, all at the address of ``listening``, and listening.

    Of workers that share one socket, the one that wakes first takes all connections until it is
    busy. Linux spreads them evenly over several sockets; elsewhere they do share.
    """
    sockets = [listening]
    if sys.platform == "linux":
        # Only now that it is bound: the address must be busy for every other program.
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
    """A uvicorn server that tells of its start, and the application of its end."""

    def __init__(
        self, config: uvicorn.Config, on_start: Callable[[], None] | None, *, linger_seconds: float
    ) -> None:
        super().__init__(config)
        self._on_start = on_start
        self._linger_seconds = linger_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does; then it may be known."""
        await super().startup(sockets)
        if self.started and self._on_start is not None:
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drains the application and lets go of its connections; then as uvicorn does."""
        drain = getattr(self.config.loaded_app, "drain", None)
        if drain is not None:
            drain()
        await self._stop_listening(sockets or [])
        await self._linger()
        await super().shutdown(sockets)

    async def _stop_listening(self, sockets: Sequence[socket.socket]) -> None:
        """Lets nobody new in, but for those whose connections the kernel has made already.

        To close a socket resets what waits on it to be accepted, with the request that may have
        been sent into it by then.
        """
        waiting = [connection for listening in sockets for connection in _accepted(listening)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        """What uvicorn makes for a connection that it accepts."""
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def _linger(self) -> None:
        """Answers what still comes on open connections, and asks with each answer to close them.

        A proxy may be sending a request into one just now; to close it would lose that.
        """
        if self._linger_seconds == 0:
            return
        state = self.server_state
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        deadline = time.monotonic() + self._linger_seconds
        # A connection tells nobody that it goes.
        while state.connections and not self.force_exit and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)


def _accepted(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait on a socket to be accepted."""
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
    """Run the application in this process."""
    config = uvicorn.Config(
        application,
        factory=True,
        loop="auto",  # uvloop where there is one
        http=PROTOCOL,
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
        pass  # uvicorn has logged what is wrong when it ends like this
    except SetupError:
        raise
    except Exception:
        if server.started:
            raise
        log.exception("the application failed")
    if not server.started:
        msg = "the application didn't start; the log above says why"
        raise SetupError(msg)


@contextlib.contextmanager
def _hang_up_ends(server: uvicorn.Server) -> Iterator[None]:
    """A closed terminal drains like the other ending signals, which uvicorn looks after itself."""
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
        with contextlib.suppress(BrokenPipeError):  # there is no parent: the end is near
            parent.send_bytes(_STARTED)

    try:
        _serve(settings, listening, started)
    except SetupError as error:
        log.error(str(error))  # noqa: TRY400 - one line says it; a traceback would say no more
        raise SystemExit(FAILURE) from None


class _Workers:
    """The worker processes of one server, as their parent sees them.

    It keeps their sockets open: a connection that comes for one that died waits for the next.
    """

    def __init__(
        self, settings: Settings, listening: socket.socket, on_start: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._on_start = on_start
        self._started = False
        self._sockets = _spread(listening, settings.workers)
        self._context: SpawnContext = multiprocessing.get_context("spawn")
        # A worker's word is one write, so that one that is killed can't leave half of it.
        self._told, self._tell = self._context.Pipe(duplex=False)
        self._processes: list[SpawnProcess] = []

    def run(self) -> None:
        try:
            for listening in self._sockets:
                self._processes.append(self._start(listening))
            while True:
                ended = multiprocessing.connection.wait(
                    [self._told, *(process.sentinel for process in self._processes)]
                )
                if self._told in ended:
                    self._hear()
                for process in [p for p in self._processes if p.sentinel in ended]:
                    self._replace(process)
        finally:
            self._stop()

    def _hear(self) -> None:
        """A worker has started; the first one is news."""
        self._told.recv_bytes()
        if not self._started:
            self._started = True
            self._on_start()

    def _start(self, listening: socket.socket) -> SpawnProcess:
        process = self._context.Process(
            target=_work,
            args=(self._settings, listening, self._tell),
            name="frontrow-worker",
        )
        # A Ctrl-C in the terminal reaches the whole group: workers leave it to us. The mask is
        # inherited, and what arrives meanwhile stays pending here. The tracker comes first: its
        # own start ends with the signal let through again.
        multiprocessing.resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return process

    def _replace(self, process: SpawnProcess) -> None:
        """Start another worker. Only where none has ever worked, the server gives up."""
        process.join()
        if self._settings.metrics_dir is not None and process.pid is not None:
            # What it had open when it died isn't open any more.
            mark_process_dead(process.pid, str(self._settings.metrics_dir))  # type: ignore[no-untyped-call]
        if (process.exitcode or 0) > 0:  # it ended by itself; a killed one has its signal, negative
            if not self._started:
                msg = "the application didn't start; the log above says why"
                raise SetupError(msg)
            # Something that passes, such as a database that is restarting.
            time.sleep(RESTART_SECONDS)
        log.error("a worker died and is replaced", pid=process.pid, exit_code=process.exitcode)
        index = self._processes.index(process)
        self._processes[index] = self._start(self._sockets[index])

    def _stop(self) -> None:
        """Let every worker finish what it has, then end those that don't."""
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
