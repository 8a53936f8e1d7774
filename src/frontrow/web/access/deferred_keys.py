"""User keys that are looked up by the statement of their call, so that it needs one round trip.

The order of refusals is that of all other calls: an invalid key before an invalid body, the limit
of the user before what the call itself refuses. So the key is looked up at once if a user may have
used up the limit, and a call that is refused before its statement still looks it up.
"""

from collections.abc import Awaitable, Callable

from blacksheep import Request, Response

from frontrow.errors import CredentialInvalid, DomainError, Overloaded, Unavailable
from frontrow.operators.operator_key import OperatorKey
from frontrow.web.access.credentials import identify
from frontrow.web.access.rate_limits import Limits
from frontrow.web.calls import Ask, Call, Handler


def deferring_preparation(
    call: Call,
    read: Callable[[Ask, Request], Awaitable[None]],
    operator: OperatorKey,
    limits: Limits,
) -> Callable[[Ask, Request], Awaitable[None]]:
    """Returns the function that identifies the user and reads the request with ``read``."""

    async def prepare(ask: Ask, request: Request) -> None:
        await identify(ask, call.who, operator, defers_key=limits.allow_every_user)
        if ask.key_look_up is None:
            limits.count_user(ask)
        try:
            await read(ask, request)
        except DomainError:
            await _look_up(ask, limits)
            raise

    return prepare


def deferring_handler(call: Call, limits: Limits) -> Handler:
    """Returns the handler of a call, whose statement may look up the key."""

    async def handle(ask: Ask) -> Response:
        if ask.key_look_up is None:
            return await call.handler(ask)
        try:
            response = await call.handler(ask)
        except (CredentialInvalid, Overloaded, Unavailable):
            raise
        except DomainError:
            await _look_up(ask, limits)
            raise
        limits.count_user_late(ask)
        return response

    return handle


async def _look_up(ask: Ask, limits: Limits) -> None:
    """Looks up the key of a refused call, unless its user is known.

    Raises:
        CredentialInvalid: the key is unknown, revoked or expired.
        RateLimited: the limit is exceeded.
    """
    if ask.key_look_up is not None:
        ask.user = await ask.services.users.user_of(ask.known_user_key)
        limits.count_user(ask)
