"""Malformed HTTP."""

import asyncio
import json

import pytest

from testkit.desk import Desk


@pytest.mark.parametrize(
    "sent",
    [
        b"GET http://[x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"FOO /api/v1/concerts HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        (
            b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        ),
        b"\x16\x03\x01\x02\x00\x01",
    ],
    ids=["target", "method", "length", "two lengths", "TLS"],
)
async def test_malformed_http_is_refused(desk: Desk, sent: bytes) -> None:
    """Answers a problem with a request id, then closes the connection."""
    reader, writer = await asyncio.open_connection(desk.http.base_url.host, desk.http.base_url.port)
    writer.write(sent)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert status.startswith("HTTP/1.1 400 ")
    assert headers["x-request-id"]
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["content-length"]) == len(body)
    assert json.loads(body)["code"] == "malformed"
