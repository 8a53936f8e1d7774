"""Who calls: user keys, queue tokens, the operator's key."""

import hashlib
import hmac
from collections.abc import Sequence

from blacksheep import Request

from frontrow.errors import CredentialInvalid, CredentialMissing
from frontrow.services import Services
from frontrow.users.service import KEY_PREFIX
from frontrow.waiting_room.token import UnknownKey
from frontrow.web.calls import Ask, Who

_SCHEME = b"bearer "
_USER_KEY = KEY_PREFIX.encode()
_LONGEST_CREDENTIAL = 2048

_TAKES_KEY = {Who.USER, Who.USER_OR_TOKEN, Who.USER_OR_ADMITTED}
_TAKES_TOKEN = {Who.TOKEN, Who.ADMITTED, Who.USER_OR_TOKEN, Who.USER_OR_ADMITTED}


class OperatorKey:
    """The operator's key, kept as its digest."""

    def __init__(self, key: str) -> None:
        self._digest = _digest(key.encode())

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
    credential = bearer(ask.request)
    if who is Who.OPERATOR:
        operator.check(credential)
    elif credential.startswith(_USER_KEY):
        if who not in _TAKES_KEY:
            raise CredentialInvalid
        ask.user_key = credential.decode("latin-1")
        ask.user = await ask.services.users.user_of(ask.user_key)
    elif who in _TAKES_TOKEN:
        try:
            ask.place = ask.services.signer.verify(credential)
        except UnknownKey as unknown:
            ask.place = await ask.services.signer.verify_unknown(credential, unknown)
    else:
        raise CredentialInvalid


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
