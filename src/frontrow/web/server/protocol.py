"""HTTP/1.1 by uvicorn, with bounds on requests, and problem responses to malformed HTTP.

A request is bounded in bytes, lines and time until it has arrived; how long its answer takes is its
call's matter, unless the client doesn't read it.
"""

import asyncio
import fcntl
import re
import struct
import termios
from collections import deque
from collections.abc import Iterator
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, parse_url
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from frontrow.errors import DomainError, Malformed
from frontrow.settings import Settings
from frontrow.web.endpoint import new_request_id
from frontrow.web.problems import CONTENT_TYPE, HeadTooLarge, RequestTimeout, problem
from frontrow.web.server.connections import Connections

_MOST_LINES = 100
_BETWEEN_FIELDS = b": \r\n"
# RFC 9110, section 7.2, without the characters of a registered name that no host has.
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_MOST_PIPELINED = 16
_VERSIONS = ("1.1", "1.0")
# Called for each request: `super()` costs a little more.
_begin = HttpToolsProtocol.on_message_begin
_HAS_BODY = (b"content-length", b"transfer-encoding")


def protocol_for(settings: Settings) -> type["Protocol"]:
    """Returns the protocol of all connections of a server with these settings."""

    class BoundedProtocol(Protocol):
        head_bytes = settings.head_bytes
        head_seconds = settings.head_seconds
        body_seconds = settings.body_seconds
        open_connections = Connections(settings)

    return BoundedProtocol


class Protocol(HttpToolsProtocol):
    """A connection that answers requests within their bounds.

    Rejects malformed HTTP with a problem response, then closes the connection.
    """

    head_bytes: int
    """Largest head of a request."""
    head_seconds: float
    """Longest time for a head, and for the first request of a connection to begin."""
    body_seconds: float
    """Longest time for a body, after that."""
    open_connections: Connections
    _progress: tuple[object, int] = (None, 0)
    """The request and the resumptions when its reading was last checked."""
    _unread_bytes = 0
    """What its client hadn't taken then."""
    _resumptions = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accepts a connection, unless there are too many."""
        super().connection_made(transport)
        self._in_head = self._in_message = self._is_extended = False
        self._hosts = 0
        self._host = b""
        self._valid_host: bytes | None = None
        # Pipelined requests before the last one, in order; those at the start may be answered.
        self._earlier: deque[RequestResponseCycle] = deque()
        # Bytes of the present message before the part that is parsed now, and those of its body.
        self._received_bytes = self._body_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._set_deadline(self.head_seconds)
        refusal = self.open_connections.enter(self)
        if refusal is not None:
            self._refuse(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        super().connection_lost(exc)
        for cycle in self._earlier:  # uvicorn informs the last one only
            cycle.disconnected = True
            cycle.message_event.set()
        self.open_connections.leave(self)
        self._drop_deadline()

    def resume_writing(self) -> None:
        """Sends again, since the client has taken most of what was ready."""
        self._resumptions += 1
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parses what has arrived, and bounds the time for the rest of the request."""
        self._unset_keepalive_if_required()
        if self._deadline is not None and not self._in_message:
            self._drop_deadline()
        if len(data) <= self.head_bytes:
            self._parse(data)
        else:
            for part in _parts(data, self.head_bytes):
                if self.transport.is_closing():
                    break
                self._parse(part)
        if self._in_message:
            if self._deadline is None:
                self._set_deadline(self.head_seconds)
        elif self._deadline is not None:
            self._drop_deadline()

    @property
    def is_answering(self) -> bool:
        """Whether a request has begun to be answered and its answer is not complete."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    @property
    def is_unread(self) -> bool:
        """Whether the client hasn't taken what is ready to be sent."""
        return self.flow.write_paused

    def close(self) -> None:
        """Closes the connection; what its client hasn't read is dropped."""
        self.transport.abort()

    def check_reading(self, least_bytes: int) -> None:
        """Cuts off a client that has taken less than this of what was ready at the last check."""
        unread = self.transport.get_write_buffer_size()
        if unread:
            unread += _sent_bytes(self.transport.get_extra_info("socket").fileno())
        # Until its writing is paused, a connection may have further answers to send.
        progress = (None if self.is_unread else self.cycle), self._resumptions
        was_unread = self._unread_bytes > 0 and progress == self._progress
        self._progress, before, self._unread_bytes = progress, self._unread_bytes, unread
        if unread and was_unread and before - unread < least_bytes:
            self.transport.abort()

    def _parse(self, part: bytes | memoryview) -> None:
        try:
            self.parser.feed_data(part)
        except HttpParserUpgrade as upgrade:
            # There is no other protocol: the offer is ignored (RFC 9110, section 7.8).
            self._in_message = False
            if rest := part[upgrade.args[0] :]:
                self._parse(rest)
        except HttpParserError as error:
            cause = error.__context__
            self._refuse(
                cause if isinstance(cause, DomainError) else Malformed("This isn't HTTP/1.1.")
            )
        else:
            if self._in_message:
                self._received_bytes += len(part)
                # Without the content: the head, sizes of chunks, trailers. Other parts of the
                # messages before and after it may be counted too, hence twice.
                if self._received_bytes - self._body_bytes > 2 * self.head_bytes:
                    self._refuse(HeadTooLarge())

    # Called by the parser; an error that they raise is the context of the parser's.

    def on_message_begin(self) -> None:
        """Begins a request."""
        _begin(self)
        self._in_head = self._in_message = True
        self._is_chunked = False
        self._hosts = self._received_bytes = self._body_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a line of the head. Trailers are dropped: they must not be taken for headers.

        Raises:
            Malformed: there is another transfer coding than chunked (RFC 9112, section 6.1), one in
                HTTP/1.0, or more than one.
        """
        if not self._in_head:
            return
        name = name.lower()
        if name == b"host":
            self._hosts += 1
            self._host = value
        elif name == b"transfer-encoding":
            is_known = value.lower() == b"chunked" and self.parser.get_http_version() == "1.1"
            if not is_known or self._is_chunked:
                raise Malformed("The only transfer coding is chunked, in HTTP/1.1.")
            self._is_chunked = True
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begins to answer a request whose head has arrived.

        Raises:
            HeadTooLarge: the head has too many bytes or lines.
            Malformed: it has another version, it doesn't have one valid Host (RFC 9112, section
                3.2), or it has a body and offers an upgrade.
        """
        if len(self.headers) > _MOST_LINES or (
            # One part has at most as many bytes as a head may have.
            self._received_bytes and self._head_size() > self.head_bytes
        ):
            raise HeadTooLarge
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            raise Malformed("This isn't HTTP/1.1.")
        if self._hosts != 1:
            if self._hosts or version != "1.0":
                raise Malformed("The request must have one Host.")
        elif self._host != self._valid_host:
            if not _HOST.fullmatch(self._host):
                raise Malformed("The Host is invalid.")
            self._valid_host = self._host
        if self.parser.should_upgrade() and any(name in _HAS_BODY for name, _ in self.headers):
            # The parser would take the body for the next request.
            raise Malformed("A request with a body can't upgrade.")
        self._in_head = False
        self._answer(version)

    def on_body(self, body: bytes) -> None:
        """Adds a part of the body, unless the request has been answered without it."""
        self._body_bytes += len(body)
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Ends a request: its answer may take longer."""
        self._in_message = False
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def _answer(self, version: str) -> None:
        """Answers the request, after those before it; as uvicorn does, with fewer questions."""
        scope, parser = self.scope, self.parser
        scope["method"] = parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        target = parse_url(self.url)
        path = target.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = target.path
        scope["query_string"] = target.query or b""
        before: RequestResponseCycle | None = self.cycle
        self.cycle = cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version == "1.1" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
            return
        self.pipeline.appendleft((cycle, self.app))
        if len(self.pipeline) >= _MOST_PIPELINED:
            # Until then reading goes on: the end of the connection ends the present call.
            self.flow.pause_reading()
        while self._earlier and self._earlier[0].response_complete:
            self._earlier.popleft()
        self._earlier.append(before)

    def _head_size(self) -> int:
        fields = (len(name) + len(_BETWEEN_FIELDS) + len(value) for name, value in self.headers)
        return len(self.url) + sum(fields)

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self.loop.call_later(seconds, self._on_deadline)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self._is_extended = False

    def _on_deadline(self) -> None:
        """Closes the connection of a request that arrives too slowly, or on which none arrives."""
        self._deadline = None
        if not self._in_message:
            self.transport.close()
        elif self._in_head and self.is_answering:
            # Nothing is read while the request before it is answered.
            self._set_deadline(self.head_seconds)
        elif self._in_head or self._is_extended:
            self._refuse(RequestTimeout())
        else:
            self._is_extended = True
            self._set_deadline(self.body_seconds)

    def _refuse(self, error: DomainError) -> None:
        """Sends a problem response and closes the connection; running answers are sent before."""
        cycle = self.cycle
        if not self.is_answering:
            self._send(error)
        elif self._in_head or not cycle.more_body:
            cycle.keep_alive = False  # it is the last one that is answered
            self.flow.pause_reading()
        elif self.pipeline or cycle.response_started:
            self.transport.close()
        else:
            self._send(error)

    def _send(self, error: DomainError) -> None:
        response = problem(error)
        body = response.content.body if response.content else b""
        headers = [
            *self.server_state.default_headers,
            (b"x-request-id", new_request_id()),
            (b"content-type", CONTENT_TYPE),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        if (retry_after := response.headers.get_first(b"retry-after")) is not None:
            headers.append((b"retry-after", retry_after))
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[response.status], *lines, b"\r\n", body]))
        self.transport.close()


def _sent_bytes(socket: int) -> int:
    """Returns what the system has of an answer until the client has it; 0 if it can't say so.

    That may be megabytes, and the system asks for more only when it has sent a third of it.
    """
    try:
        (queued,) = struct.unpack("i", fcntl.ioctl(socket, termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0
    return int(queued)


def _parts(data: bytes, part_bytes: int) -> Iterator[memoryview]:
    view = memoryview(data)
    for start in range(0, len(data), part_bytes):
        yield view[start : start + part_bytes]
