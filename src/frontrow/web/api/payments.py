"""Calls about payments."""

from uuid import UUID

import msgspec
from blacksheep import Response

from frontrow.concerts.model import Money
from frontrow.errors import (
    AmountMismatch,
    HoldExpired,
    InsufficientBalance,
    NotAllowed,
    NotFound,
    ReservationClosed,
    ShowClosed,
)
from frontrow.payments.model import Payment, PaymentPage
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, ok
from frontrow.web.listings import PaymentsQuery
from frontrow.web.openapi.examples import AMOUNT, RESERVATION
from frontrow.web.openapi.state_examples import PAYMENTS


class NewPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The reservation to pay. The amount that the user agreed to must be the reservation's."""

    reservation_id: UUID
    amount: Money


async def pay(ask: Ask) -> Response:
    """Pays a reservation."""
    payment, outcome = await ask.services.payments.pay(
        ask.queue_token, ask.body.reservation_id, ask.body.amount, ask.idempotency_key
    )
    if outcome == "existing":
        return ok(payment)
    return created(payment, replayed=outcome == "replayed")


async def payments(ask: Ask) -> Response:
    """Returns the user's payments."""
    page = ask.query or PaymentsQuery()
    return ok(await ask.services.payments.payments(ask.user_id, limit=page.limit, after=page.after))


async def payment(ask: Ask) -> Response:
    """Returns a payment."""
    return ok(await ask.services.payments.payment(ask.user_id, ask.params["payment_id"]))


CALLS = (
    Call(
        method="POST",
        path="/payments",
        name="pay",
        group="Payments",
        summary="Pay a reservation",
        says=(
            "One transaction: the money moves, the ledger is written, the user owns the seats, the "
            "token ends, and its other holds are released. Paying the same reservation again "
            "returns the same payment, also with the finished token."
        ),
        who=Who.ADMITTED,
        body=NewPayment,
        example={"reservation_id": RESERVATION, "amount": AMOUNT},
        idempotent=True,
        answers=(
            Answer(201, "Paid.", Payment),
            Answer(200, "The user has already paid this reservation.", Payment),
        ),
        refusals=(
            NotFound,
            NotAllowed,
            ShowClosed,
            ReservationClosed,
            HoldExpired,
            AmountMismatch,
            InsufficientBalance,
        ),
        handler=pay,
    ),
    Call(
        method="GET",
        path="/payments",
        name="payments",
        group="Payments",
        summary="List the user's payments",
        says="Newest first.",
        who=Who.USER,
        query=PaymentsQuery,
        answers=(Answer(200, "A page of payments.", PaymentPage),),
        handler=payments,
    ),
    Call(
        method="GET",
        path="/payments/{payment_id}",
        name="payment",
        group="Payments",
        summary="Get a payment",
        who=Who.USER,
        params={"payment_id": UUID},
        answers=(Answer(200, "The payment.", Payment, examples=PAYMENTS),),
        refusals=(NotFound,),
        handler=payment,
    ),
)
