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
    """A new guest account; with proof of work, if the server requires it."""

    altcha: Annotated[
        Annotated[str, Meta(max_length=LONGEST_PAYLOAD)] | None,
        Meta(description="The solved challenge of an ALTCHA client: base64 of its JSON."),
    ] = None


class ChallengeParameters(msgspec.Struct, frozen=True, rename="camel"):
    """The parameters of a challenge in ALTCHA's format (version 2)."""

    algorithm: Annotated[str, Meta(description="The key derivation function.")]
    nonce: Annotated[str, Meta(description="The start of the password; the counter follows.")]
    salt: Annotated[str, Meta(description="The salt of each derivation.")]
    cost: Annotated[int, Meta(description="Iterations of one derivation.")]
    key_length: Annotated[int, Meta(description="Bytes of a derived key.")]
    key_prefix: Annotated[str, Meta(description="The prefix of the key to find.")]
    key_signature: Annotated[str, Meta(description="Return it unchanged.")]
    expires_at: Annotated[int, Meta(description="When it expires (Unix time).")]
    data: Annotated[dict[str, str], Meta(description="Return it unchanged.")]


class Challenge(msgspec.Struct, frozen=True):
    """A challenge for an ALTCHA client."""

    parameters: ChallengeParameters
    signature: Annotated[str, Meta(description="Return it unchanged.")]


class Me(msgspec.Struct, frozen=True):
    """A user's balance, reservations, payments and tickets."""

    user_id: UUID
    balance: Annotated[int, Meta(description="In the currency's minor unit.")]
    currency: str
    reservations: Annotated[
        list[Reservation], Meta(description="Held, paid or refunded, newest first.")
    ]
    payments: Annotated[list[Payment], Meta(description="Newest first.")]
    tickets: Annotated[list[Ticket], Meta(description="The next show first.")]


GUEST_REFUSALS = (NotAllowed, ChallengeRequired, ChallengeFailed)
"""The errors of a call that adds a guest account."""


async def challenge(ask: Ask) -> Response:
    """Returns a challenge."""
    if ask.services.challenges is None:
        raise NotFound("This server requires no proof of work.")
    response = ok(ask.services.challenges.new())
    response.add_header(b"cache-control", b"no-store")
    return response


async def add_user(ask: Ask) -> Response:
    """Adds a guest account."""
    return created(await ask.services.guests.add(ask.body.altcha))


async def me(ask: Ask) -> Response:
    """Returns the user's balance, reservations, payments and tickets."""
    services = ask.services
    balance = await services.ledger.balance(ask.user_id)
    return ok(
        Me(
            user_id=ask.user_id,
            balance=balance.balance,
            currency=balance.currency,
            reservations=await services.reservations.of_user(ask.user_id, _LISTED),
            payments=(
                await services.payments.payments(ask.user_id, limit=_LISTED, after=None)
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
        summary="Add a guest account",
        says=(
            "The key is shown only once: it is stored as a hash. A server whose users sign in at "
            "an OpenID issuer may have no guests. If the server requires proof of work, send a "
            "solved challenge: see GET /users/challenge."
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
        summary="Get a challenge for a guest account",
        says=(
            "For an ALTCHA client (proof of work, version 2), whose solution is the `altcha` of "
            "POST /users. Each challenge is valid for one account. 404 if none is required."
        ),
        answers=(
            Answer(
                200,
                "The challenge.",
                Challenge,
                headers={"Cache-Control": "Not stored."},
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
        summary="Get the user with reservations, payments and tickets",
        says="Needs no queue token. Up to 100 of each kind; /payments and …/transfers have all.",
        who=Who.USER,
        answers=(Answer(200, "The user.", Me),),
        handler=me,
    ),
)
