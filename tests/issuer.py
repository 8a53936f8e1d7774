"""A small OpenID issuer on the loopback: discovery, keys, tokens, and whatever goes wrong there."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

Json = dict[str, Any]
AUDIENCE = "frontrow-tests"
DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/keys"


class Issuer:
    """What the issuer says; a test may change all of it.

    ``asked`` is the paths that were asked for. While ``away``, it answers 503; until ``answering``
    is set, it keeps who asks waiting.
    """

    def __init__(self) -> None:
        self.address = ""
        self.keys: list[RSAKey | ECKey] = [RSAKey.generate_key(2048, {"kid": "one"})]
        self.asked: list[str] = []
        self.away = False
        self.answering = threading.Event()
        self.answering.set()
        self.documents: dict[str, bytes] = {}
        """Documents that take the place of the right ones."""

    def document(self, path: str) -> bytes | None:
        """What it says at a path."""
        if path in self.documents:
            return self.documents[path]
        found = {
            DISCOVERY: {"issuer": self.address, "jwks_uri": f"{self.address}{JWKS}"},
            JWKS: {"keys": [key.as_dict(private=False) for key in self.keys]},
        }.get(path)
        return None if found is None else json.dumps(found).encode()

    def claims(self, subject: str = "someone", **others: Any) -> Json:
        """The claims of a good token, or of one that isn't; ``None`` leaves a claim out."""
        now = int(time.time())
        claims = {
            "iss": self.address, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600,
        } | others  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, subject: str = "someone", *, key: RSAKey | ECKey | None = None, **others: Any
    ) -> bytes:
        """A token of the newest key, or of another one."""
        key = key or self.keys[-1]
        header = {"alg": "ES256" if isinstance(key, ECKey) else "RS256", "kid": key.kid}
        return jwt.encode(header, self.claims(subject, **others), key).encode()


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """An issuer that answers on a free port."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            issuer.answering.wait(20)
            body = None if issuer.away else issuer.document(self.path)
            self.send_response(503 if issuer.away else 404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            with contextlib.suppress(OSError):  # who asked has heard enough
                self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    issuer.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.answering.set()
        server.shutdown()
        thread.join()
        server.server_close()
