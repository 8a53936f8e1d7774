"""The operator's key, and the signatures of the browser sessions that it opens.

Everything here is derived from the key alone: every process can check it without a look-up, and a
new key ends all sessions. Which sessions were ended is stored (``operators/sessions.py``).
"""

import hashlib
import hmac
import secrets
import time
from functools import lru_cache
from typing import NamedTuple

from itsdangerous import BadSignature, Signer

from frontrow.errors import CredentialInvalid

SESSION_SECONDS = 12 * 3600
"""How long a browser stays signed in as the operator."""

_REMEMBERED_SESSIONS = 64


class Session(NamedTuple):
    """A session whose signature is valid."""

    session_id: str
    """The signed text: base64 allows several spellings of one signature."""
    expires: int
    """The Unix time at which it expires."""


class OperatorKey:
    """Checks the operator's key, stored as a digest, and signs the operator's sessions.

    A session is ``expiry.random.signature``; the browser never holds the key.

    Args:
        key: the key.
    """

    def __init__(self, key: str) -> None:
        self._digest = _digest(key.encode())
        self._signer = Signer(
            key,
            salt=b"frontrow operator session",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )
        self._reissue_key = hmac.digest(key.encode(), b"frontrow reissued user keys", "sha256")
        # Genuine sessions only: an error is not cached.
        self._read = lru_cache(_REMEMBERED_SESSIONS)(self._read_session)

    def check(self, credential: bytes) -> None:
        """Compares a credential with the key, in constant time.

        Raises:
            CredentialInvalid: they differ.
        """
        if not hmac.compare_digest(_digest(credential), self._digest):
            raise CredentialInvalid

    def new_session(self) -> tuple[str, int]:
        """Returns a new session, and the Unix time at which it expires."""
        expires = int(time.time()) + SESSION_SECONDS
        return self._signer.sign(f"{expires}.{secrets.token_hex(8)}").decode(), expires

    def check_session(self, session: bytes) -> Session:
        """Checks the signature of a session, in constant time, and its expiry.

        Raises:
            CredentialInvalid: the signature is invalid, or the session has expired.
        """
        read = self._read(session)
        if read.expires <= time.time():
            raise CredentialInvalid
        return read

    def _read_session(self, session: bytes) -> Session:
        try:
            text = self._signer.unsign(session).decode()
        except BadSignature:
            raise CredentialInvalid from None
        return Session(text, int(text.partition(".")[0]))

    def reissue_secret(self, idempotency_key: str | None) -> bytes | None:
        """Returns the random part of a user key that is reissued; ``None``: take a new one.

        It is derived from the ``Idempotency-Key``: a lost response can be repeated, although a
        user key is stored only as a hash.
        """
        if idempotency_key is None:
            return None
        return hmac.digest(self._reissue_key, idempotency_key.encode(), "sha256")


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
