"""A small OpenID issuer on the loopback: discovery, keys, tokens, and every kind of fault.

Signing in needs no password: a page asks for consent, and codes are exchanged for tokens.
"""

import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

Json = dict[str, Any]
AUDIENCE = "frontrow-tests"
DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/keys"
AUTHORIZE = "/authorize"
TOKEN = "/token"


class Issuer:
    """The state of the issuer, which a test may change.

    ``asked`` is the list of requested paths. While ``away``, it answers 503; until ``answering`` is
    set, requests wait.
    """

    def __init__(self) -> None:
        self.address = ""
        self.keys: list[RSAKey | ECKey] = [RSAKey.generate_key(2048, {"kid": "one"})]
        self.asked: list[str] = []
        self.away = False
        self.answering = threading.Event()
        self.answering.set()
        self.documents: dict[str, bytes] = {}
        """Documents that replace the valid ones."""
        self.secret: str | None = None
        """The credentials of the client."""
        self.auth_methods: list[str] | None = None
        self.claims_given: Json = {}
        """Claims of the tokens given for codes, in addition to or in place of the valid ones."""
        self._granted: dict[str, tuple[Json, str]] = {}

    def document(self, path: str) -> bytes | None:
        """Returns the document at a path."""
        if path in self.documents:
            return self.documents[path]
        found = {
            DISCOVERY: {
                "issuer": self.address,
                "jwks_uri": f"{self.address}{JWKS}",
                "authorization_endpoint": f"{self.address}{AUTHORIZE}",
                "token_endpoint": f"{self.address}{TOKEN}",
                "token_endpoint_auth_methods_supported": self.auth_methods,
            },
            JWKS: {"keys": [key.as_dict(private=False) for key in self.keys]},
        }.get(path)
        return None if found is None else json.dumps(found).encode()

    def claims(self, subject: str = "someone", **others: Any) -> Json:
        """Returns the claims of a valid token, with changes; ``None`` leaves a claim out."""
        now = int(time.time())
        claims = {
            "iss": self.address, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600,
        } | others  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, subject: str = "someone", *, key: RSAKey | ECKey | None = None, **others: Any
    ) -> bytes:
        """Returns a token of the newest key, or of another one."""
        key = key or self.keys[-1]
        header = {"alg": "ES256" if isinstance(key, ECKey) else "RS256", "kid": key.kid}
        return jwt.encode(header, self.claims(subject, **others), key).encode()

    def grant(self, address: str, subject: str = "someone") -> str:
        """Returns the redirect of a client that was sent to ``address`` and has signed in."""
        asked = dict(parse_qsl(urlsplit(address).query, strict_parsing=True))
        assert (asked["response_type"], asked["scope"]) == ("code", "openid")
        assert (asked["client_id"], asked["code_challenge_method"]) == (AUDIENCE, "S256")
        code = secrets.token_urlsafe(16)
        self._granted[code] = asked, subject
        return self._back(asked, code=code)

    def refuse(self, address: str, error: str = "access_denied") -> str:
        """Returns the redirect of a client that was sent to ``address`` and declined."""
        return self._back(dict(parse_qsl(urlsplit(address).query)), error=error)

    def _back(self, asked: Json, **answer: str) -> str:
        answer |= {"state": asked["state"], "iss": self.address}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def exchange(self, form: Json, authorization: str | None) -> tuple[int, Json]:
        """Returns a token for a code, once."""
        asked, subject = self._granted.pop(form.get("code", ""), ({}, ""))
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if not self._is_client(form, authorization):
            return 401, {"error": "invalid_client"}
        if (
            asked.get("code_challenge") != challenge
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        claims = {"nonce": asked["nonce"]} | self.claims_given
        return 200, {"token_type": "Bearer", "id_token": self.token(subject, **claims).decode()}

    def _is_client(self, form: Json, authorization: str | None) -> bool:
        if self.secret is None:
            return authorization is None and form.get("client_id") == AUDIENCE
        if self.auth_methods == ["client_secret_post"]:
            return authorization is None and form.get("client_secret") == self.secret
        pair = base64.b64encode(f"{AUDIENCE}:{quote_plus(self.secret)}".encode()).decode()
        return authorization == f"Basic {pair}" and "client_secret" not in form

    def page(self, path: str) -> bytes:
        """Returns the page to sign in."""
        yes, no = escape(self.grant(path, "fan")), escape(self.refuse(path))
        return (
            "<!doctype html><html lang='en'><title>Issuer</title><h1>Who are you?</h1>"
            f"<p><a href='{yes}'>A fan</a> <a href='{no}'>Nobody</a>"
        ).encode()


@contextmanager
def running_issuer(host: str = "127.0.0.1") -> Iterator[Issuer]:
    """Runs an issuer on a free port of the loopback, with this host name."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            issuer.answering.wait(20)
            if self.path.startswith(f"{AUTHORIZE}?"):
                self._answer(200, issuer.page(self.path))
            else:
                body = issuer.document(self.path)
                self._answer(404 if body is None else 200, body or b"")

        def do_POST(self) -> None:
            issuer.asked.append(self.path)
            issuer.answering.wait(20)
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(sent).items()}
            status, document = issuer.exchange(form, self.headers["Authorization"])
            self._answer(status, issuer.documents.get(TOKEN) or json.dumps(document).encode())

        def _answer(self, status: int, body: bytes) -> None:
            if issuer.away:
                status, body = 503, b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the client has closed the connection
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    issuer.address = f"http://{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.answering.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def as_at_its_start(issuer: Issuer) -> Iterator[Issuer]:
    """Yields an issuer without recorded requests; restores its state afterwards."""
    issuer.asked.clear()
    keys = list(issuer.keys)
    yield issuer
    issuer.keys, issuer.away, issuer.claims_given = keys, False, {}
    issuer.secret, issuer.auth_methods = None, None
    issuer.documents.clear()
    issuer.answering.set()
