"""Calls about user keys: exchanged and revoked by the user, reissued by the operator."""

from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.errors import CredentialMissing, KeyLimit, NotFound
from frontrow.users.service import MOST_KEYS, UserKey
from frontrow.web.access.credentials import operator_key
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, no_content


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of the key that is asked with."""

    keep: Annotated[
        bool, Meta(description="Whether the key of this request goes on beside the new one.")
    ] = False


async def exchange_key(ask: Ask) -> Response:
    """Gives the user another key; a page, which must see no key, none."""
    if ask.by_cookie:
        raise CredentialMissing("A key is shown to no page. Ask with the key itself.")
    issued = await ask.services.users.exchange_key(
        ask.user_id, ask.known_user_key, keep=ask.body.keep
    )
    return created(issued)


async def revoke_other_keys(ask: Ask) -> Response:
    """Revokes all of the user's keys but the one of the request."""
    await ask.services.users.revoke_keys(ask.user_id, kept=ask.user_key)
    return no_content()


async def reissue_key(ask: Ask) -> Response:
    """Gives a user, who lost the old one, a new key."""
    issued, replayed = await ask.services.users.reissue_key(
        ask.params["user_id"], operator_key(ask.services).user_key(ask.idempotency_key)
    )
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
            "The key of this request is revoked: here at once, on every process within a second. "
            "An answer that is lost takes the new key with it; who can't afford that asks with "
            f"`keep` (up to {MOST_KEYS} keys), then revokes the others with the new key. Queue "
            "tokens aren't touched."
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
        says="The key of this request goes on.",
        who=Who.USER,
        answers=(Answer(204, "The others are revoked."),),
        handler=revoke_other_keys,
    ),
    Call(
        method="POST",
        path="/admin/users/{user_id}/keys",
        name="reissue_key",
        group="Operator",
        summary="Give a user a new key",
        says=(
            "For one who lost the old key, or whose key somebody else has: all keys before it are "
            "revoked. Asked again without an `Idempotency-Key`, it gives another key and revokes "
            "this one."
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
        says="The account stays; what it has is out of reach until a key is given again.",
        who=Who.OPERATOR,
        params=_USER,
        answers=(Answer(204, "They are revoked."),),
        refusals=(NotFound,),
        handler=revoke_keys,
    ),
)
