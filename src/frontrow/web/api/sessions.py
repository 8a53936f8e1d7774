"""Calls that sign a browser in and out: what is secret stays in cookies that scripts can't read."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.errors import CredentialInvalid, CredentialMissing, NotAllowed
from frontrow.users.service import is_session
from frontrow.web.access import cookies
from frontrow.web.access.credentials import SESSION_SECONDS, operator_key, user_of_browser
from frontrow.web.api.users import GUEST_REFUSALS, NewUser
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, no_content, ok


class Session(msgspec.Struct, frozen=True):
    """Whom a browser's cookies stand for."""

    user_id: Annotated[UUID | None, Meta(description="The user; null where there is none.")]
    signed_in: Annotated[
        bool, Meta(description="Whether the user signed in at the issuer; else it is a guest.")
    ]
    places: Annotated[
        list[UUID], Meta(description="The concerts in whose lines the browser has a place.")
    ]
    operator: Annotated[
        bool, Meta(description="Whether the browser may make the operator's calls.")
    ]


class OperatorSession(msgspec.Struct, frozen=True):
    """A browser's right to make the operator's calls."""

    expires_at: Annotated[datetime, Meta(description="When it ends; then sign in again.")]


async def session(ask: Ask) -> Response:
    """Tells whom the browser's cookies stand for."""
    return _private(ok(_session(ask, await user_of_browser(ask))))


async def sign_in(ask: Ask) -> Response:
    """Makes a guest and keeps its key in a cookie; the user whom the browser has stays."""
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
    """Makes the browser forget its user and all places; ends the session of who has signed in."""
    cookies.check_same_origin(ask)
    key = cookies.user_key(ask)
    if key is not None:
        await ask.services.users.end_session(key)
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
        operator_key(ask.services).check_session(session.encode("latin-1", "replace"))
    except CredentialInvalid:
        return False
    return True


async def operator_session(ask: Ask) -> Response:
    """Lets the browser make the operator's calls for some hours."""
    if ask.by_cookie:
        raise CredentialMissing("A session can't renew itself: sign in with the operator's key.")
    cookies.check_same_origin(ask)
    value, expires = operator_key(ask.services).new_session()
    response = _private(created(OperatorSession(datetime.fromtimestamp(expires, UTC))))
    cookies.set_operator(ask, response, value, SESSION_SECONDS)
    return response


async def end_operator_session(ask: Ask) -> Response:
    """Makes the browser forget the operator."""
    cookies.check_same_origin(ask)
    response = no_content()
    cookies.drop_operator(ask, response)
    return response


def _private(response: Response) -> Response:
    response.add_header(b"cache-control", b"no-store")
    return response


_NOT_KEPT = {"Cache-Control": "Nobody may keep it."}
_COOKIE = _NOT_KEPT | {"Set-Cookie": "The session."}

CALLS = (
    Call(
        method="GET",
        path="/session",
        name="session",
        group="Sessions",
        summary="Tell whom the browser's cookies stand for",
        answers=(Answer(200, "The user and the places.", Session, headers=_NOT_KEPT),),
        handler=session,
    ),
    Call(
        method="POST",
        path="/session",
        name="sign_in",
        group="Sessions",
        summary="Make a guest account for the browser",
        says=(
            "Its key is set as a cookie that scripts can't read. For pages of this server only: "
            "the Origin is checked."
        ),
        body=NewUser,
        makes_guest=True,
        example={},
        answers=(
            Answer(201, "A new guest.", Session, headers=_COOKIE),
            Answer(200, "The user whom the browser has already.", Session, headers=_NOT_KEPT),
        ),
        refusals=GUEST_REFUSALS,
        handler=sign_in,
    ),
    Call(
        method="DELETE",
        path="/session",
        name="sign_out",
        group="Sessions",
        summary="Make the browser forget its user and places",
        says=(
            "Places in lines are kept; they end by themselves. A session of a user who signed in "
            "at the issuer ends."
        ),
        answers=(Answer(204, "It has no cookies of ours any more."),),
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
            "With the operator's key; a session doesn't renew itself. For pages of this server "
            "only: the Origin is checked."
        ),
        who=Who.OPERATOR,
        answers=(Answer(201, "A session.", OperatorSession, headers=_COOKIE),),
        refusals=(NotAllowed,),
        stored=False,
        handler=operator_session,
    ),
    Call(
        method="DELETE",
        path="/admin/session",
        name="operator_sign_out",
        group="Sessions",
        summary="Make the browser forget the operator",
        answers=(Answer(204, "It has no session any more."),),
        refusals=(NotAllowed,),
        stored=False,
        handler=end_operator_session,
    ),
)
