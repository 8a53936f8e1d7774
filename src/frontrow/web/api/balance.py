"""Calls about the wallet: balance, charges, transfers."""

from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.concerts.model import Money
from frontrow.errors import NotFound
from frontrow.wallet.model import Balance, Charge, Transfers
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, ok


class NewCharge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The amount to charge."""

    amount: Money


class TransfersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page of a list."""

    limit: Annotated[int, Meta(ge=1, le=100, description="Maximum size of the page.")] = 20
    after: (
        Annotated[str, Meta(max_length=64, description="`next` of the previous page.")] | None
    ) = None


async def balance(ask: Ask) -> Response:
    """Returns the balance."""
    return ok(await ask.services.ledger.balance(_own_id(ask)))


async def charge(ask: Ask) -> Response:
    """Charges the wallet."""
    _own_id(ask)
    made, replayed = await ask.services.ledger.charge(
        ask.queue_token, ask.body.amount, ask.idempotency_key
    )
    return created(made, replayed=replayed)


async def transfers(ask: Ask) -> Response:
    """Returns the wallet's transfers."""
    page = ask.query or TransfersQuery()
    return ok(await ask.services.ledger.transfers(_own_id(ask), limit=page.limit, after=page.after))


def _own_id(ask: Ask) -> UUID:
    """Returns the user of the path.

    Raises:
        NotFound: it is another user's.
    """
    user_id: UUID = ask.params["user_id"]
    if user_id != ask.user_id:
        raise NotFound
    return user_id


CALLS = (
    Call(
        method="GET",
        path="/users/{user_id}/balance",
        name="balance",
        group="Balance",
        summary="Show the balance",
        who=Who.ADMITTED,
        enters=True,
        params={"user_id": UUID},
        answers=(Answer(200, "The balance.", Balance),),
        refusals=(NotFound,),
        handler=balance,
    ),
    Call(
        method="POST",
        path="/users/{user_id}/balance/charges",
        name="charge",
        group="Balance",
        summary="Charge the balance",
        who=Who.ADMITTED,
        params={"user_id": UUID},
        body=NewCharge,
        example={"amount": 200000},
        idempotent=True,
        answers=(Answer(201, "The wallet is charged.", Charge),),
        refusals=(NotFound,),
        handler=charge,
    ),
    Call(
        method="GET",
        path="/users/{user_id}/balance/transfers",
        name="transfers",
        group="Balance",
        summary="List the wallet's transfers",
        says="Newest first.",
        who=Who.USER_OR_ADMITTED,
        enters=True,
        params={"user_id": UUID},
        query=TransfersQuery,
        answers=(Answer(200, "A page of transfers.", Transfers),),
        refusals=(NotFound,),
        handler=transfers,
    ),
)
