"""The operator's calls about the signing keys of queue tokens, tickets and challenges."""

from typing import Annotated

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.errors import KeyInUse, NotFound
from frontrow.rotation import KeyState, Purpose, key_states, retire_key, rotate_key
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, no_content, ok

_KeyId = Annotated[str, Meta(min_length=1, max_length=64)]


class NewRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The purpose of a new signing key."""

    purpose: Annotated[Purpose, Meta(description="What the new key will sign.")] = "token"


class KeyStates(msgspec.Struct, frozen=True):
    """All signing keys, without their secrets."""

    keys: list[KeyState]


async def list_keys(ask: Ask) -> Response:
    """Returns the signing keys."""
    return ok(KeyStates(await key_states(ask.services.pool)))


async def rotate(ask: Ask) -> Response:
    """Adds a key that takes over from the present one."""
    key, replayed = await rotate_key(ask.services.pool, ask.body.purpose, ask.idempotency_key)
    return created(key, replayed=replayed)


async def retire(ask: Ask) -> Response:
    """Retires a key, on this process at once."""
    await retire_key(ask.services.pool, ask.params["key_id"])
    await ask.services.signer.refresh()
    await ask.services.tickets.signer.ring.refresh()
    if ask.services.challenges is not None:
        await ask.services.challenges.ring.refresh()
    return no_content()


CALLS = (
    Call(
        method="GET",
        path="/admin/keys",
        name="signing_keys",
        group="Operator",
        summary="List the signing keys",
        says="Retired ones too. Their secrets never leave the database and the server.",
        who=Who.OPERATOR,
        answers=(Answer(200, "The keys.", KeyStates),),
        handler=list_keys,
    ),
    Call(
        method="POST",
        path="/admin/keys/rotations",
        name="rotate_key",
        group="Operator",
        summary="Rotate a signing key",
        says=(
            "The new key signs after a few seconds, when every process has read it. "
            "Signatures of the previous key stay valid until it is retired. Repeated without an "
            "`Idempotency-Key`, the call adds another key."
        ),
        who=Who.OPERATOR,
        body=NewRotation,
        example={"purpose": "token"},
        idempotent=True,
        answers=(Answer(201, "The new key.", KeyState),),
        handler=rotate,
    ),
    Call(
        method="POST",
        path="/admin/keys/{key_id}/retire",
        name="retire_key",
        group="Operator",
        summary="Retire a signing key",
        says=(
            "Within a second every process refuses its signatures. A waiting user with such a "
            "token joins again with the user key and gets the same place, with a new token."
        ),
        who=Who.OPERATOR,
        params={"key_id": _KeyId},
        answers=(Answer(204, "The key is retired."),),
        refusals=(NotFound, KeyInUse),
        handler=retire,
    ),
)
