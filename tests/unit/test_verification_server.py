"""A draw fetched from a server that may be dishonest; its address, and the token of a place."""

import base64
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID, uuid4

import httpx2
import pytest

from frontrow.errors import SetupError
from frontrow.ids import PlaceRef
from frontrow.verification import Own, Report, draw_address, read_token, server, verify
from tests import draws
from tests.signing import signer_with

OPENED = datetime(2026, 6, 1, 11, tzinfo=UTC)
CONCERT = UUID("6a1b2c3d-0000-4000-8000-000000000001")
PLACES = [UUID(int=number, version=4) for number in range(1, 4)]
PATH = f"/api/v1/concerts/{CONCERT}/queue/draw"
ENTRIES_PATH = f"{PATH}/entries?after=0&limit=10000"
SEED = draws.sum_of("the seed")
SUMS = draws.entries_of(PLACES)
DRAW = {
    "concert_id": str(CONCERT),
    "commitment": draws.sum_of(SEED),
    "committed_at": "2026-05-31T11:00:00Z",
    "opens_at": "2026-06-01T11:00:00Z",
    "drawn_at": "2026-06-01T11:00:00.2Z",
    "entrants": len(PLACES),
    "digest": draws.digest_of(SUMS),
    "seed": SEED,
}
ENTRIES = {
    "entries": [
        {"number": number, "entry": entry, "position": position}
        for number, (entry, position) in enumerate(
            zip(SUMS, draws.positions_of(SEED, SUMS), strict=True), 1
        )
    ],
    "next": None,
}
DOCUMENTS: dict[str, object] = {PATH: DRAW, ENTRIES_PATH: ENTRIES}


def test_token_names_its_place() -> None:
    """Read from a token of Frontrow, whatever key signed it."""
    place = PlaceRef(uuid4(), CONCERT, 1, 7, uuid4(), OPENED)
    token = signer_with({"k": b"s" * 32}, "k").sign(place)
    assert read_token(f" {token}\n", CONCERT) == Own(7, draws.sum_of(str(place.place_id)), OPENED)
    with pytest.raises(ValueError, match="it is for another concert"):
        read_token(token, uuid4())


def _token(**others: object) -> str:
    claims = {"concert": str(CONCERT), "jti": str(CONCERT), "number": 7, "iat": 1, **others}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def test_unchanged_token_is_read() -> None:
    """The token that the next test changes is valid."""
    assert read_token(_token(), CONCERT).number == 7


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a-user-key",
        "e30.e30",
        "e30.e30.c2ln",
        "e30.?!.c2ln",
        "e30.W10.c2ln",
        "e30.é.c2ln",
        _token(number=0),
        _token(number="7"),
        _token(iat=-1),
        _token(iat=10**12),
        _token(jti="place"),
        _token(more="x" * 1024),
    ],
)
def test_malformed_token_is_refused(token: str) -> None:
    """A malformed token is refused before anything is fetched."""
    with pytest.raises(ValueError, match="it is not a queue token"):
        read_token(token, CONCERT)


@pytest.mark.parametrize(
    "ending", ["", "/", "/queue", "/queue/", "/queue/draw", "/queue/draw?x=1#y"]
)
def test_addresses_of_a_draw_are_accepted(ending: str) -> None:
    """The URLs of the concert, the queue and the draw are equivalent."""
    base = f"https://tickets.example:8443/house/api/v1/concerts/{CONCERT}"
    assert draw_address(base + ending) == (f"{base}/queue/draw", CONCERT)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("tickets.example", "it must begin with http"),
        ("ftp://tickets.example/concerts/1", "it must begin with http"),
        ("https:///concerts/1", "it must begin with http"),
        ("https://tickets.example", "it must end in /concerts/ID"),
        (f"https://tickets.example/concerts/{CONCERT}/seats", "it must end in /concerts/ID"),
        (f"https://tickets.example/concerts/{'-' * 36}", "its concert has no id"),
        (f"https://me:secret@tickets.example/concerts/{CONCERT}", "leave the credentials out"),
        ("https://tickets.example:port/", "it is not a URL"),
    ],
)
def test_other_addresses_are_refused(url: str, says: str) -> None:
    """Each message names the mistake in the URL."""
    with pytest.raises(ValueError, match=says):
        draw_address(url)


class Served:
    """A server with answers by path, which records its requests."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {
            path: complete_answer(200, json.dumps(body).encode())
            for path, body in DOCUMENTS.items()
        }
        self.requests: list[tuple[str, dict[str, str]]] = []

    def verify(self) -> Report:
        """Verifies the draw of this server."""
        address, concert_id = draw_address(self.address + PATH)
        return verify(address, concert_id, commitment=None, own=None, fetched=lambda _, __: None)

    def refuses(self, says: str) -> None:
        """Asserts that the verification ends with one line."""
        with pytest.raises(SetupError, match=says) as caught:
            self.verify()
        assert caught.value.exit_code == 3
        assert "\n" not in str(caught.value)


def complete_answer(
    status: int, body: bytes = b"", **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    """Returns a handler that answers with a complete body."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


@contextmanager
def listening() -> Iterator[Served]:
    """A server on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.requests.append((self.path, dict(self.headers)))
            made.answers.get(self.path, complete_answer(404))(self)

        def log_message(self, *_said: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        made = Served(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture
def served() -> Iterator[Served]:
    """A server with a correct draw."""
    with listening() as running:
        yield running


def test_correct_draw_is_verified(served: Served) -> None:
    """Two documents are fetched; only their addresses are sent."""
    report = served.verify()
    assert report.lines()[-1] == "verified"
    assert [path for path, _ in served.requests] == [PATH, ENTRIES_PATH]
    for _, headers in served.requests:
        assert {name.lower() for name in headers} == {
            "host", "accept", "accept-encoding", "connection", "user-agent",
        }  # fmt: skip


def test_progress_is_reported() -> None:
    """Reports the progress before each page."""
    progress: list[tuple[int, int]] = []
    with listening() as served:
        address, concert_id = draw_address(served.address + PATH)
        verify(
            address, concert_id, commitment=None, own=None,
            fetched=lambda entries, of: progress.append((entries, of)),
        )  # fmt: skip
    assert progress == [(0, 3)]


def test_unreachable_server_is_reported() -> None:
    """The port is closed."""
    with listening() as served:
        pass
    served.refuses(r"^can't fetch http://127.0.0.1:\d+/.*/queue/draw: .*refused")


def test_missing_draw_is_reported(served: Served) -> None:
    """A concert without a draw, or without published entries."""
    del served.answers[ENTRIES_PATH]
    served.refuses(rf"^there is no draw at http://.*{PATH}/entries")
    del served.answers[PATH]
    served.refuses(rf"^there is no draw at http://.*{PATH}$")


def test_draw_of_another_concert_is_refused(served: Served) -> None:
    """A document must belong to its address."""
    other = {**DRAW, "concert_id": str(uuid4())}
    served.answers[PATH] = complete_answer(200, json.dumps(other).encode())
    served.refuses("shows the draw of another concert")


@pytest.mark.parametrize("path", [PATH, ENTRIES_PATH])
def test_long_answer_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """It is dropped at the limit, however long it is; a body of the limit itself is read."""
    rest: list[int] = []

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                rest.append(request.wfile.write(b" " * 65_536))
        except OSError:
            return

    right = served.answers[path]
    served.answers[path] = endless
    served.refuses("the answer is too long")
    # Includes what the sockets buffer.
    assert sum(rest) < server._MOST_ANSWER_BYTES + 16 * 1024 * 1024

    served.answers[path] = right
    longest = max(len(json.dumps(body)) for body in DOCUMENTS.values())
    monkeypatch.setattr(server, "_MOST_ANSWER_BYTES", longest)
    assert served.verify().failed == 0
    monkeypatch.setattr(server, "_MOST_ANSWER_BYTES", longest - 1)
    served.refuses("the answer is too long")


def test_slow_answer_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends slowly is given up too."""
    gone = threading.Event()

    def dripping(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while not gone.wait(0.01):
                request.wfile.write(b" ")
        except OSError:
            return

    monkeypatch.setattr(server, "_MOST_ANSWER_SECONDS", 0.1)
    served.answers[PATH] = dripping
    try:
        served.refuses("the answer takes too long")
    finally:
        gone.set()


def test_compressed_answer_is_bounded(served: Served) -> None:
    """Compression is not requested, and the limit applies after decompression."""
    bomb = gzip.compress(b" " * 64 * 1024 * 1024)
    served.answers[PATH] = complete_answer(200, bomb, **{"Content-Encoding": "gzip"})
    served.refuses("the answer is too long")
    assert served.requests[0][1]["accept-encoding"] == "identity"


def test_redirect_to_another_host_is_not_followed(served: Served) -> None:
    """The redirect is not followed: the other host gets no request."""
    with listening() as other:
        there = other.address.replace("127.0.0.1", "localhost")
        served.answers[PATH] = complete_answer(302, Location=there + PATH)
        served.refuses(r"redirects to http://localhost: not followed$")
        assert other.requests == []


def test_redirect_away_from_tls_is_not_followed() -> None:
    """A redirect from https to http on the same host is not followed either."""
    request = httpx2.Request("GET", "https://tickets.example/a")
    for location, goes in (("http://tickets.example/b", False), ("/b", True)):
        answer = httpx2.Response(301, headers={"location": location}, request=request)
        if goes:
            server._check_redirect(answer)
        else:
            with pytest.raises(SetupError, match=r"redirects to http://tickets\.example"):
                server._check_redirect(answer)


def test_redirect_on_the_same_host_is_followed(served: Served) -> None:
    """A redirect on the same host is followed; a cycle ends."""
    moved = f"/v2{PATH}"
    served.answers[moved] = served.answers[PATH]
    served.answers[PATH] = complete_answer(307, Location=moved)
    assert served.verify().failed == 0
    served.answers[moved] = complete_answer(307, Location=PATH)
    served.refuses("(?i)redirects")


@pytest.mark.parametrize("status", [429, 503])
def test_busy_server_is_requested_again(
    served: Served, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Two more requests, each after a pause; then the verification ends."""
    pauses: list[float] = []
    right = served.answers[PATH]

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            served.answers[PATH] = right

    monkeypatch.setattr(time, "sleep", pause)
    served.answers[PATH] = complete_answer(status)
    assert served.verify().failed == 0
    assert pauses == [1.0, 2.0]
    served.answers[PATH] = complete_answer(status)
    served.refuses(f"the server answers {status}$")
    assert pauses == [1.0, 2.0, 1.0, 2.0]


@pytest.mark.parametrize("status", [204, 400, 401, 500])
def test_other_status_is_reported(served: Served, status: int) -> None:
    """The status is reported, without another request."""
    served.answers[PATH] = complete_answer(status)
    served.refuses(f"the server answers {status}$")
    assert len(served.requests) == 1


def changed_document(name: str, value: str) -> bytes:
    """Returns the draw document with another JSON value in one member."""
    members = {member: json.dumps(one) for member, one in DRAW.items()}
    members[name] = value
    return ("{" + ",".join(f'"{member}":{one}' for member, one in members.items()) + "}").encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        json.dumps(ENTRIES).encode(),
        changed_document("seed", "1"),
        changed_document("seed", r'"\ud800"'),
        changed_document("seed", '"\xff'),
        changed_document("commitment", '"66687AAD"'),
        changed_document("entrants", "1e99"),
        changed_document("opens_at", '"tomorrow"'),
        changed_document("concert_id", "null"),
    ],
)
def test_malformed_document_is_refused(served: Served, body: bytes) -> None:
    """The answer is not JSON, or not a draw."""
    served.answers[PATH] = complete_answer(200, body)
    served.refuses("shows no such document")
    assert len(served.requests) == 1


def test_contradictory_document_is_refused(served: Served) -> None:
    """The draw has ended without a seed."""
    half = {**DRAW, "seed": None}
    served.answers[PATH] = complete_answer(200, json.dumps(half).encode())
    served.refuses("shows no draw: it is drawn, but has no outcome$")
