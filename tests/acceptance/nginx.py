"""A real nginx with the shipped configuration, in front of the servers of given ports.

Only the addresses, the server's name and the cache's folder are rewritten; and, for a test of its
own, the limit of the line's documents.
"""

import asyncio
import contextlib
import grp
import os
import pwd
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from testkit.connection import BASE, Connection, Json
from testkit.desk import eventually
from testkit.server import PATIENCE_SECONDS, free_port, scratch, until
from tests.programs import program

SHIPPED = Path(__file__).parents[2] / "deploy/nginx/frontrow.conf"
DOCUMENT_BURST = 25_000
CONNECTIONS = 2_000
WRAPPER = """
{user}
daemon off;
worker_processes 2;
pid {folder}/pid;
error_log {folder}/errors warn;
events {{ worker_connections 1024; }}
http {{
    log_format passed '$uri $upstream_status';
    access_log {folder}/requests passed;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/frontrow.conf;
}}
"""


COUNTED = re.compile(
    r'^frontrow_http_requests_total\{call="(\w+)",status="\d+"\} ([0-9.]+)$', re.MULTILINE
)


@dataclass
class Nginx:
    """A running nginx in front of Frontrow."""

    port: int
    folder: Path
    http: httpx2.AsyncClient

    async def get(
        self, path: str, credential: str | None = None, **headers: str
    ) -> httpx2.Response:
        """Sends a GET to the API."""
        if credential is not None:
            headers["Authorization"] = f"Bearer {credential}"
        return await self.http.get(BASE + path, headers=headers)

    async def post(self, path: str, body: Json, credential: str = "none") -> httpx2.Response:
        """Sends a POST to the API."""
        headers = {"Authorization": f"Bearer {credential}"}
        return await self.http.post(BASE + path, json=body, headers=headers)

    async def guest(self) -> Json:
        """Creates a user."""
        made: Json = (await self.post("/users", {})).json()
        return made

    async def join(self, concert: Json) -> str:
        """Creates a user who joins the line; returns the token."""
        key = (await self.guest())["user_key"]
        joined = await self.post("/queue/tokens", {"concert_id": concert["concert_id"]}, key)
        assert joined.status_code == 201, joined.text
        return str(joined.json()["token"])

    async def origin_answers(self, path: str, requests: int) -> Counter[str]:
        """Counts the origin's answers to requests of one path, by status; "-" means from the cache.

        Waits until the log has this number of requests: nginx writes it after the answer.
        """
        found: Counter[str] = Counter()

        async def logged() -> bool:
            found.clear()
            for line in (self.folder / "requests").read_text().splitlines():
                uri, _, status = line.partition(" ")
                if uri == BASE + path:
                    found[status] += 1
            return found.total() >= requests

        await eventually(logged)
        return found


def configure(
    folder: Path,
    port: int,
    *origins: int,
    burst: int = DOCUMENT_BURST,
    connections: int = CONNECTIONS,
) -> list[str]:
    """Writes the configuration for a folder; returns the command that runs nginx.

    ``burst`` is that of line documents, which return so slowly with another one that a test sees
    none; ``connections`` is the limit of a client's open requests. Several origins are written as
    docs/guides/nginx.md describes.
    """
    text = SHIPPED.read_text()
    servers = f"server 127.0.0.1:{origins[0]};"
    if len(origins) > 1:
        listed = " ".join(f"server 127.0.0.1:{origin} fail_timeout=2s;" for origin in origins)
        servers = f"zone frontrow 64k; least_conn; {listed}"
    for shipped, here in (
        ("server 127.0.0.1:8000;", servers),
        ("\n    listen 80;", f"\n    listen 127.0.0.1:{port};"),
        ("server_name tickets.example.org;", "server_name 127.0.0.1;"),
        ("# allow 198.51.100.0/24;", "allow 127.0.0.3; allow 127.0.0.4;"),
        (f" burst={DOCUMENT_BURST} ", f" burst={burst} "),
        (f"frontrow_connections {CONNECTIONS};", f"frontrow_connections {connections};"),
        ("rate=5000r/s;", "rate=5000r/s;" if burst == DOCUMENT_BURST else "rate=1r/m;"),
        ("/var/cache/frontrow levels", f"{folder}/cache levels"),
        ("/var/cache/frontrow-draws levels", f"{folder}/draws levels"),
    ):
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, here)
    (folder / "frontrow.conf").write_text(text)
    # As root, nginx would start its workers as an account that can't write here.
    user = f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};" if not os.getuid() else ""
    (folder / "nginx.conf").write_text(WRAPPER.format(folder=folder, user=user))
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]


@contextlib.contextmanager
def running_nginx(
    *origins: int, burst: int = DOCUMENT_BURST, connections: int = CONNECTIONS
) -> Iterator[tuple[int, Path]]:
    """Runs nginx in front of origins; yields its port and its folder."""
    with scratch() as folder:
        port = free_port()
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                configure(folder, port, *origins, burst=burst, connections=connections),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

        def listens() -> bool:
            assert process.poll() is None, (folder / "output").read_text()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                return True
            return False

        try:
            until(listens)
            yield port, folder
        finally:
            process.terminate()
            process.wait()


async def counted(port: int, call: str) -> int:
    """Returns how many calls of a kind the metrics have counted (at the last flush)."""
    connection = Connection(port)
    metrics = (await connection.ask("GET", "//metrics")).body.decode()
    await connection.close()
    return sum(int(float(count)) for name, count in COUNTED.findall(metrics) if name == call)


def line_path(concert: Json) -> str:
    """Returns the path of the public line document."""
    return f"/concerts/{concert['concert_id']}/queue"


def spellings(path: str) -> list[str]:
    """Returns other spellings that Frontrow accepts for a path."""
    return [f"{path}/", path.upper(), f"{path.upper()}/"]


def most_requests(seconds: float) -> int:
    """Returns how often one document may be fetched in this time: once, then once a second."""
    return int(seconds) + 1


class Recorder:
    """An origin that records the requests of nginx and answers line requests when allowed to.

    Entries are cacheable for an hour, everything else for a second. The first half of a stream is
    sent immediately.
    """

    port: int

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.requested = asyncio.Condition()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the one request of a connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        async with self.requested:
            self.heads.append(head)
            self.requested.notify_all()
        streams = "/events" in head.lower()
        if "/queue" in head and not streams:
            await self.may_answer.wait()
        seconds = 3600 if "/entries" in head else 1
        writer.write(f"HTTP/1.1 200 OK\r\nCache-Control: public, max-age={seconds}\r\n".encode())
        writer.write(b"Content-Length: 2\r\nConnection: close\r\n\r\n{")
        if streams:
            await self.may_answer.wait()
        writer.write(b"}")
        writer.close()

    async def until_asked(self) -> None:
        """Waits for the first request."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.requested:
            await self.requested.wait_for(lambda: self.heads)
