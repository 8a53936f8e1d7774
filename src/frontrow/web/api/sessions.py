"""Calls that sign a browser in and out; secrets are kept in cookies that scripts can't read."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.errors import CredentialInvalid, CredentialMissing, NotAllowed
from frontrow.operators.operator_key import SESSION_SECONDS
from frontrow.users.service import is_session
from frontrow.web.access import cookies
from frontrow.web.access.credentials import operator_sessions, user_of_browser
from frontrow.web.api.users import GUEST_REFUSALS, NewUser
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, no_content, ok


class Session(msgspec.Struct, frozen=True):
    """The user, places and operator session of a browser's cookies."""

    user_id: Annotated[UUID | None, Meta(description="The user; null if there is none.")]
    signed_in: Annotated[
        bool, Meta(description="Whether the user signed in at the issuer; false for a guest.")
    ]
    places: Annotated[
        list[UUID], Meta(description="The concerts in whose line the browser has a place.")
    ]
    operator: Annotated[
        bool, Meta(description="Whether the browser may make the operator's calls.")
    ]


class SignOutQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What else ends."""

    end_key: Annotated[
        bool,
        Meta(description="Whether a guest's key is revoked too: then nobody can use the account."),
    ] = False


class OperatorSession(msgspec.Struct, frozen=True):
    """A browser's session for the operator's calls."""

    expires_at: Annotated[datetime, Meta(description="When the session ends.")]


async def session(ask: Ask) -> Response:
    """Returns the user, places and operator session of the browser's cookies."""
    return _private(ok(_session(ask, await user_of_browser(ask))))


async def sign_in(ask: Ask) -> Response:
    """Adds a guest account for the browser, unless it has a user."""
    cookies.check_same_origin(ask)
    user_id = await user_of_browser(ask)
    if user_id is not None:
        return _private(ok(_session(ask, user_id)))
    guest = await ask.services.guests.add(ask.body.altcha)
    made = Session(guest.user_id, signed_in=False, places=[], operator=_is_operator(ask))
    response = _private(created(made))
    cookies.drop_user(ask, response)
    cookies.set_user(ask, response, guest.user_key)
    return response


async def sign_out(ask: Ask) -> Response:
    """Removes the browser's user and places, and ends the session of a user who signed in.

    A guest's key has no session: it is revoked only on request.
    """
    cookies.check_same_origin(ask)
    key = cookies.user_key(ask)
    query = ask.query or SignOutQuery()
    if key is not None:
        await ask.services.users.end_session(key, lasting=query.end_key)
    response = no_content()
    cookies.drop_user(ask, response)
    return response


def _session(ask: Ask, user_id: UUID | None) -> Session:
    signed_in = user_id is not None and is_session(cookies.user_key(ask) or "")
    return Session(user_id, signed_in, cookies.places(ask), _is_operator(ask))


def _is_operator(ask: Ask) -> bool:
    session = cookies.operator_session(ask)
    if session is None:
        return False
    try:
        operator_sessions(ask.services).check(session.encode("latin-1", "replace"), ask.address)
    except CredentialInvalid:
        return False
    return True


async def operator_session(ask: Ask) -> Response:
    """Opens an operator session of some hours for the browser."""
    if ask.by_cookie:
        raise CredentialMissing("A session can't renew itself: sign in with the operator key.")
    cookies.check_same_origin(ask)
    value, expires = await operator_sessions(ask.services).open(ask.address)
    response = _private(created(OperatorSession(datetime.fromtimestamp(expires, UTC))))
    cookies.set_operator(ask, response, value, SESSION_SECONDS)
    return response


async def end_operator_session(ask: Ask) -> Response:
    """Ends the browser's operator session, and removes its cookie."""
    cookies.check_same_origin(ask)
    session = cookies.operator_session(ask)
    if session is not None:
        await operator_sessions(ask.services).end(session.encode("latin-1", "replace"))
    response = no_content()
    cookies.drop_operator(ask, response)
    return response


def _private(response: Response) -> Response:
    response.add_header(b"cache-control", b"no-store")
    return response


_NOT_STORED = {"Cache-Control": "Not stored."}
_COOKIE = _NOT_STORED | {"Set-Cookie": "The session."}

CALLS = (
    Call(
        method="GET",
        path="/session",
        name="session",
        group="Sessions",
        summary="Get the browser's user and places",
        answers=(Answer(200, "The user and the places.", Session, headers=_NOT_STORED),),
        handler=session,
    ),
    Call(
        method="POST",
        path="/session",
        name="sign_in",
        group="Sessions",
        summary="Add a guest account for the browser",
        says=(
            "Its key is set as a cookie that scripts can't read. Only for pages of this server: "
            "the Origin is checked."
        ),
        body=NewUser,
        makes_guest=True,
        example={},
        answers=(
            Answer(201, "A new guest.", Session, headers=_COOKIE),
            Answer(200, "The browser's present user.", Session, headers=_NOT_STORED),
        ),
        refusals=GUEST_REFUSALS,
        handler=sign_in,
    ),
    Call(
        method="DELETE",
        path="/session",
        name="sign_out",
        group="Sessions",
        summary="Remove the browser's user and places",
        says=(
            "The places stay in their lines until they expire. The session of a user who signed in "
            "at the issuer ends on every process within a second, with the keys made from it. A "
            "guest's key stays valid, unless `end_key` is set."
        ),
        query=SignOutQuery,
        answers=(Answer(204, "The cookies are removed."),),
        refusals=(NotAllowed,),
        handler=sign_out,
    ),
    Call(
        method="POST",
        path="/admin/session",
        name="operator_sign_in",
        group="Sessions",
        summary="Sign a browser in as the operator",
        says=(
            "With the operator key; a session can't renew itself. Only for pages of this server: "
            "the Origin is checked."
        ),
        who=Who.OPERATOR,
        answers=(Answer(201, "A session.", OperatorSession, headers=_COOKIE),),
        refusals=(NotAllowed,),
        handler=operator_session,
    ),
    Call(
        method="DELETE",
        path="/admin/session",
        name="operator_sign_out",
        group="Sessions",
        summary="End the browser's operator session",
        says="The session is refused from now on: by this process at once, by others in a second.",
        answers=(Answer(204, "The session has ended, and its cookie is removed."),),
        refusals=(NotAllowed,),
        handler=end_operator_session,
    ),
)
