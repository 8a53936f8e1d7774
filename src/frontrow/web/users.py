"""Calls about users."""

from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.errors import NotAllowed
from frontrow.payments.model import Payment, Ticket
from frontrow.reservations.model import Reservation
from frontrow.users.service import Guest
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, ok

_LISTED = 100


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is asked of a guest."""


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


async def new_guest(ask: Ask) -> Guest:
    """Makes a guest account, where there are any.

    Raises:
        NotAllowed: there are none.
    """
    if not ask.services.settings.guests_allowed:
        raise NotAllowed("This server gives no guest accounts: sign in, and bring an ID token.")
    return await ask.services.users.add_guest()


async def add_user(ask: Ask) -> Response:
    """Makes a guest account."""
    return created(await new_guest(ask))


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
            "OpenID issuer, there may be no guests."
        ),
        body=NewUser,
        makes_guest=True,
        example={},
        answers=(Answer(201, "The account and its key.", Guest),),
        refusals=(NotAllowed,),
        handler=add_user,
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
