"""Calls about user keys: exchanged and revoked by the user, reissued by the operator."""

from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.errors import CredentialMissing, KeyLimit, NotFound
from frontrow.users.service import MOST_KEYS, UserKey, new_key
from frontrow.web.access.credentials import operator_key
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, no_content


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to the key of the request."""

    keep: Annotated[
        bool, Meta(description="Whether the key of this request stays valid beside the new one.")
    ] = False


async def exchange_key(ask: Ask) -> Response:
    """Exchanges the user's key; not for a page, which must not see a key."""
    if ask.by_cookie:
        raise CredentialMissing("Pages get no user key. Make this call with the key itself.")
    issued = await ask.services.users.exchange_key(
        ask.user_id, ask.known_user_key, keep=ask.body.keep
    )
    return created(issued)


async def revoke_other_keys(ask: Ask) -> Response:
    """Revokes all keys of the user except for the one of the request."""
    await ask.services.users.revoke_keys(ask.user_id, kept=ask.user_key)
    return no_content()


async def reissue_key(ask: Ask) -> Response:
    """Issues a new key for a user who lost the old one."""
    secret = operator_key(ask.services).reissue_secret(ask.idempotency_key)
    issued, replayed = await ask.services.users.reissue_key(ask.params["user_id"], new_key(secret))
    return created(issued, replayed=replayed)


async def revoke_keys(ask: Ask) -> Response:
    """Revokes all keys of a user."""
    await ask.services.users.revoke_keys(ask.params["user_id"])
    return no_content()


_USER = {"user_id": UUID}

CALLS = (
    Call(
        method="POST",
        path="/users/me/keys",
        name="exchange_key",
        group="Users",
        summary="Get a new user key",
        says=(
            "The key of this request is revoked: on this process at once, on the others within a "
            "second. If the answer is lost, so is the new key; to be safe, call with `keep` (up to "
            f"{MOST_KEYS} keys), then revoke the others with the new key. Queue tokens stay valid."
        ),
        who=Who.USER,
        body=NewKey,
        example={},
        answers=(Answer(201, "The new key, shown this once.", UserKey),),
        refusals=(KeyLimit,),
        handler=exchange_key,
    ),
    Call(
        method="DELETE",
        path="/users/me/keys",
        name="revoke_other_keys",
        group="Users",
        summary="Revoke all other user keys",
        says="The key of this request stays valid.",
        who=Who.USER,
        answers=(Answer(204, "The others are revoked."),),
        handler=revoke_other_keys,
    ),
    Call(
        method="POST",
        path="/admin/users/{user_id}/keys",
        name="reissue_key",
        group="Operator",
        summary="Issue a new user key",
        says=(
            "For a user whose key was lost or stolen: all earlier keys are revoked. Repeated "
            "without an `Idempotency-Key`, the call issues another key and revokes this one."
        ),
        who=Who.OPERATOR,
        params=_USER,
        idempotent=True,
        answers=(Answer(201, "The new key, shown this once.", UserKey),),
        refusals=(NotFound,),
        handler=reissue_key,
    ),
    Call(
        method="DELETE",
        path="/admin/users/{user_id}/keys",
        name="revoke_keys",
        group="Operator",
        summary="Revoke all keys of a user",
        says="The account stays, but can't be used until a new key is issued.",
        who=Who.OPERATOR,
        params=_USER,
        answers=(Answer(204, "They are revoked."),),
        refusals=(NotFound,),
        handler=revoke_keys,
    ),
)
