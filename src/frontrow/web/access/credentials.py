"""Credentials of calls: user key, ID token, queue token, operator; in a header or cookie.

The services check credentials; here they are only found in the request and classified.
"""

from uuid import UUID

from blacksheep import Request

from frontrow.errors import CredentialInvalid, CredentialMissing
from frontrow.operators.operator_key import OperatorKey
from frontrow.operators.sessions import OperatorSessions
from frontrow.services import Services
from frontrow.users.service import KEY_PREFIX
from frontrow.web.access import cookies
from frontrow.web.calls import Ask, Who
from frontrow.web.requests import headers_of, is_repeated

_AUTHORIZATION = b"authorization"
_SCHEME = b"Bearer "
_USER_KEY = KEY_PREFIX.encode()
_LONGEST_CREDENTIAL = 8192
"""Bytes; ID tokens may be long."""

# Not sets: an enumeration's members are hashed in Python.
_TAKES_KEY = (Who.USER, Who.USER_OR_TOKEN, Who.USER_OR_ADMITTED)
_TAKES_TOKEN = (Who.TOKEN, Who.ADMITTED, Who.USER_OR_TOKEN, Who.USER_OR_ADMITTED)


async def identify(ask: Ask, who: Who, operator: OperatorKey, *, defers_key: bool = False) -> None:
    """Checks the credential of a call, and stores its owner in ``ask``.

    With ``defers_key`` a user key that isn't cached is not looked up: ``ask.key_look_up`` is set.

    Raises:
        CredentialMissing, CredentialInvalid: the call has no credential that it may be made with.
    """
    if _AUTHORIZATION in headers_of(ask.request):
        credential = bearer(ask.request)
    else:
        credential = cookies.credential(ask, who)
    sign_in = ask.services.sign_in
    if who is Who.OPERATOR:
        if ask.by_cookie:
            operator_sessions(ask.services).check(credential, ask.address)
        else:
            operator.check(credential)
    elif credential.startswith(_USER_KEY):
        if who not in _TAKES_KEY:
            raise CredentialInvalid
        ask.user_key = credential.decode("latin-1")
        if defers_key:
            known = ask.services.users.look_up(ask.user_key)
            ask.user, ask.key_look_up = (known, None) if isinstance(known, UUID) else (None, known)
        else:
            ask.user = await ask.services.users.user_of(ask.user_key)
    elif (
        sign_in is not None
        and who in _TAKES_KEY
        and (who not in _TAKES_TOKEN or sign_in.recognizes(credential))
    ):
        ask.user = await sign_in.user_of(credential)
    elif who in _TAKES_TOKEN:
        ask.place = await ask.services.signer.read(credential)
    else:
        raise CredentialInvalid


async def user_of_browser(ask: Ask) -> UUID | None:
    """Returns the user whose key the browser's cookie holds; ``None`` without a valid one."""
    key = cookies.user_key(ask)
    if key is None:
        return None
    try:
        return await ask.services.users.user_of(key)
    except CredentialInvalid:
        return None


def bearer(request: Request) -> bytes:
    """Returns the credential of ``Authorization: Bearer …`` (RFC 6750).

    Raises:
        CredentialMissing: there is none.
        CredentialInvalid: there are several, or it is too long.
    """
    value = headers_of(request).get(_AUTHORIZATION)
    if value is None:
        raise CredentialMissing
    if len(value) > _LONGEST_CREDENTIAL or is_repeated(request, _AUTHORIZATION):
        raise CredentialInvalid
    if not value.startswith(_SCHEME) and value[: len(_SCHEME)].lower() != _SCHEME.lower():
        raise CredentialMissing
    return value[len(_SCHEME) :].strip()


def operator_key(services: Services) -> OperatorKey:
    """Returns the operator's key of this server.

    Raises:
        ValueError: the settings have none.
    """
    if services.operator_key is None:
        raise ValueError("no operator key is set")
    return services.operator_key


def operator_sessions(services: Services) -> OperatorSessions:
    """Returns the operator's browser sessions.

    Raises:
        ValueError: the settings have no operator key.
    """
    if services.operator_sessions is None:
        raise ValueError("no operator key is set")
    return services.operator_sessions
