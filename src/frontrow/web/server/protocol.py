"""HTTP/1.1 by uvicorn, with problem responses to malformed HTTP."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from frontrow.errors import Malformed
from frontrow.web.endpoint import new_request_id
from frontrow.web.problems import CONTENT_TYPE, problem


class Protocol(HttpToolsProtocol):
    """Rejects malformed HTTP with a problem response, then closes the connection."""

    def send_400_response(self, msg: str) -> None:
        """Sends the response to malformed HTTP, or to a target or header that is too long."""
        response = problem(Malformed(msg))
        body = response.content.body if response.content else b""
        headers = [
            *self.server_state.default_headers,
            (b"x-request-id", new_request_id()),
            (b"content-type", CONTENT_TYPE),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[response.status], *lines, b"\r\n", body]))
        self.transport.close()
