"""Calls about users."""

from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.errors import ChallengeFailed, ChallengeRequired, NotAllowed, NotFound
from frontrow.payments.model import Payment, Ticket
from frontrow.reservations.model import Reservation
from frontrow.users.challenge import LONGEST_PAYLOAD
from frontrow.users.service import Guest
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, ok

_LISTED = 100


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is asked of a guest but, where the server is set up so, some proof of work."""

    altcha: Annotated[
        Annotated[str, Meta(max_length=LONGEST_PAYLOAD)] | None,
        Meta(description="What an ALTCHA client makes of the challenge: base64 of its JSON."),
    ] = None


class ChallengeParameters(msgspec.Struct, frozen=True, rename="camel"):
    """What is to be found, in ALTCHA's format (version 2)."""

    algorithm: Annotated[str, Meta(description="How a key is derived.")]
    nonce: Annotated[str, Meta(description="The password's beginning; the counter follows.")]
    salt: Annotated[str, Meta(description="The salt of each derivation.")]
    cost: Annotated[int, Meta(description="Iterations of one derivation.")]
    key_length: Annotated[int, Meta(description="Bytes of a derived key.")]
    key_prefix: Annotated[str, Meta(description="How the key that is looked for begins.")]
    key_signature: Annotated[str, Meta(description="The server's; to be sent back as it is.")]
    expires_at: Annotated[int, Meta(description="Until when it may be used (Unix time).")]
    data: Annotated[dict[str, str], Meta(description="The server's; to be sent back as it is.")]


class Challenge(msgspec.Struct, frozen=True):
    """A challenge for an ALTCHA client."""

    parameters: ChallengeParameters
    signature: Annotated[str, Meta(description="The server's; to be sent back as it is.")]


class Me(msgspec.Struct, frozen=True):
    """What a user has, readable without a line."""

    user_id: UUID
    balance: Annotated[int, Meta(description="In the currency's minor unit.")]
    currency: str
    reservations: Annotated[
        list[Reservation], Meta(description="Held, paid or refunded, newest first.")
    ]
    payments: Annotated[list[Payment], Meta(description="Newest first.")]
    tickets: Annotated[list[Ticket], Meta(description="The next show first.")]


GUEST_REFUSALS = (NotAllowed, ChallengeRequired, ChallengeFailed)
"""What a call that makes a guest may be refused with."""


async def challenge(ask: Ask) -> Response:
    """Gives a challenge, where one is asked for."""
    if ask.services.challenges is None:
        raise NotFound("No proof of work is asked for here.")
    response = ok(ask.services.challenges.new())
    response.add_header(b"cache-control", b"no-store")
    return response


async def add_user(ask: Ask) -> Response:
    """Makes a guest account."""
    return created(await ask.services.guests.add(ask.body.altcha))


async def me(ask: Ask) -> Response:
    """Shows what the user has."""
    services = ask.services
    balance = await services.ledger.balance(ask.user_id)
    return ok(
        Me(
            user_id=ask.user_id,
            balance=balance.balance,
            currency=balance.currency,
            reservations=await services.reservations.of_user(ask.user_id, _LISTED),
            payments=(
                await services.paying.payments(ask.user_id, limit=_LISTED, after=None)
            ).payments,
            tickets=await services.tickets.of_user(ask.user_id, limit=_LISTED),
        )
    )


CALLS = (
    Call(
        method="POST",
        path="/users",
        name="add_user",
        group="Users",
        summary="Make a guest account",
        says=(
            "The key is shown this once: it is stored only as a hash. Where users sign in at an "
            "OpenID issuer, there may be no guests. Where proof of work is asked for, a solved "
            "challenge goes along: see GET /users/challenge."
        ),
        body=NewUser,
        makes_guest=True,
        example={},
        answers=(Answer(201, "The account and its key.", Guest),),
        refusals=GUEST_REFUSALS,
        handler=add_user,
    ),
    Call(
        method="GET",
        path="/users/challenge",
        name="challenge",
        group="Users",
        summary="Get a challenge before a guest account",
        says=(
            "For an ALTCHA client (proof of work, version 2), which makes of it what POST /users "
            "takes as `altcha`. Each one gives one account. 404 where none is asked for."
        ),
        answers=(
            Answer(
                200,
                "The challenge.",
                Challenge,
                headers={"Cache-Control": "Nobody may keep it."},
            ),
        ),
        refusals=(NotFound,),
        stored=False,
        handler=challenge,
    ),
    Call(
        method="GET",
        path="/users/me",
        name="me",
        group="Users",
        summary="Show what the user has",
        says="Needs no line. Lists up to 100 of each kind; /payments and …/transfers page on.",
        who=Who.USER,
        answers=(Answer(200, "The user.", Me),),
        handler=me,
    ),
)
