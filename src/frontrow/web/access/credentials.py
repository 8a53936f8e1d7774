"""Who calls: user keys and ID tokens, queue tokens, the operator's key; in a header or cookie."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from uuid import UUID

from blacksheep import Request

from frontrow.errors import CredentialInvalid, CredentialMissing
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.users.id_token import read_header
from frontrow.users.service import KEY_PREFIX, new_key
from frontrow.waiting_room.token import ALGORITHM, UnknownKey
from frontrow.web.access import cookies
from frontrow.web.calls import Ask, Who

_SCHEME = b"bearer "
_USER_KEY = KEY_PREFIX.encode()
_LONGEST_CREDENTIAL = 8192
"""Bytes; ID tokens may be long."""

SESSION_SECONDS = 12 * 3600
"""How long a browser stays signed in as the operator."""

_TAKES_KEY = {Who.USER, Who.USER_OR_TOKEN, Who.USER_OR_ADMITTED}
_TAKES_TOKEN = {Who.TOKEN, Who.ADMITTED, Who.USER_OR_TOKEN, Who.USER_OR_ADMITTED}


class OperatorKey:
    """The operator's key, kept as its digest; and the sessions that it opens.

    A session is its end and a signature made with a key derived from the operator's: every process
    can check it, the browser never holds the key, and a new key ends all sessions.
    """

    def __init__(self, key: str) -> None:
        self._digest = _digest(key.encode())
        self._session_key = hmac.digest(key.encode(), b"frontrow operator session", "sha256")
        self._user_keys_key = hmac.digest(key.encode(), b"frontrow reissued user keys", "sha256")

    def new_session(self) -> tuple[str, int]:
        """A session, and when it ends (Unix time)."""
        expires = int(time.time()) + SESSION_SECONDS
        signed = f"{expires}.{secrets.token_hex(8)}"
        return f"{signed}.{self._signature(signed)}", expires

    def check_session(self, session: bytes) -> None:
        """Checks the signature in constant time, then the end.

        Raises:
            CredentialInvalid: it isn't one of ours, or has ended.
        """
        signed, _, signature = session.decode("latin-1").rpartition(".")
        genuine = hmac.compare_digest(self._signature(signed).encode(), signature.encode())
        if not genuine or int(signed.partition(".")[0]) <= time.time():
            raise CredentialInvalid

    def _signature(self, signed: str) -> str:
        return hmac.digest(self._session_key, signed.encode(), "sha256").hex()

    def user_key(self, idempotency_key: str | None) -> str:
        """A user key to be given out: a random one, or that of this Idempotency-Key.

        So an answer that was lost can be given again, though a key is stored only as a hash.
        """
        if idempotency_key is None:
            return new_key()
        return new_key(hmac.digest(self._user_keys_key, idempotency_key.encode(), "sha256"))

    def check(self, credential: bytes) -> None:
        """Compares in constant time.

        Raises:
            CredentialInvalid: it is another one.
        """
        if not hmac.compare_digest(_digest(credential), self._digest):
            raise CredentialInvalid


async def identify(ask: Ask, who: Who, operator: OperatorKey) -> None:
    """Finds out whose call this is, as far as the credential alone tells.

    Raises:
        CredentialMissing, CredentialInvalid: there is none, or not one that this call takes.
    """
    if ask.request.headers.get(b"authorization"):
        credential = bearer(ask.request)
    else:
        credential = cookies.credential(ask, who)
    if who is Who.OPERATOR:
        (operator.check_session if ask.by_cookie else operator.check)(credential)
    elif credential.startswith(_USER_KEY):
        if who not in _TAKES_KEY:
            raise CredentialInvalid
        ask.user_key = credential.decode("latin-1")
        ask.user = await ask.services.users.user_of(ask.user_key)
    elif ask.services.sign_in is not None and _is_for_a_user(credential, who):
        ask.user = await ask.services.sign_in.user_of(credential)
    elif who in _TAKES_TOKEN:
        ask.place = await place_of(ask.services, credential)
    else:
        raise CredentialInvalid


def _is_for_a_user(credential: bytes, who: Who) -> bool:
    """Whether a JWT is to be read as an ID token: the call takes one, and it isn't ours."""
    if who not in _TAKES_KEY:
        return False
    if who not in _TAKES_TOKEN:
        return True
    # No ID token has this algorithm: it would mean a secret that both sides know.
    header = read_header(credential)
    return header is not None and header.get("alg") != ALGORITHM


async def user_of_browser(ask: Ask) -> UUID | None:
    """Returns the user whose key the browser's cookie holds; ``None`` without a valid one."""
    key = cookies.user_key(ask)
    if key is None:
        return None
    try:
        return await ask.services.users.user_of(key)
    except CredentialInvalid:
        return None


async def place_of(services: Services, token: bytes) -> PlaceRef:
    """The place that a queue token names.

    Raises:
        CredentialInvalid: it is no token of ours.
    """
    try:
        return services.signer.verify(token)
    except UnknownKey as unknown:
        return await services.signer.verify_unknown(token, unknown)


def bearer(request: Request) -> bytes:
    """The credential of ``Authorization: Bearer …`` (RFC 6750).

    Raises:
        CredentialMissing: there is none.
        CredentialInvalid: several, or too long a one.
    """
    values: Sequence[bytes] = request.headers.get(b"authorization")
    if not values:
        raise CredentialMissing
    value = values[0]
    if len(values) > 1 or len(value) > _LONGEST_CREDENTIAL:
        raise CredentialInvalid
    if value[: len(_SCHEME)].lower() != _SCHEME:
        raise CredentialMissing
    return value[len(_SCHEME) :].strip()


def operator_key(services: Services) -> OperatorKey:
    """The operator's key of this server."""
    key = services.settings.operator_key
    if key is None:
        raise ValueError("no operator key is set")
    return OperatorKey(key.get_secret_value())


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
