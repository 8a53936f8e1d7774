"""Calls about refunds and cancelled shows."""

from uuid import UUID

from blacksheep import Response

from frontrow.errors import AlreadyCheckedIn, NotFound, RefundClosed
from frontrow.payments.model import Cancellation, Payment
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import accepted, created, ok
from frontrow.web.openapi.examples import refunded


async def refund(ask: Ask) -> Response:
    """Refunds a payment for the operator."""
    return await _refund(ask, None)


async def refund_own(ask: Ask) -> Response:
    """Refunds the user's payment."""
    return await _refund(ask, ask.user_id)


async def _refund(ask: Ask, user_id: UUID | None) -> Response:
    payment, outcome = await ask.services.refunds.refund(
        ask.params["payment_id"], user_id, ask.idempotency_key
    )
    if outcome == "existing":
        return ok(payment)
    return created(payment, replayed=outcome == "replayed")


async def cancel_show(ask: Ask) -> Response:
    """Cancels a show."""
    return accepted(await ask.services.cancellations.cancel(ask.params["show_id"]))


async def cancellation(ask: Ask) -> Response:
    """Returns the progress of a cancellation."""
    return ok(await ask.services.cancellations.progress(ask.params["show_id"]))


def _answers(reason: str) -> tuple[Answer, ...]:
    example = refunded(reason)
    return (
        Answer(201, "Refunded.", Payment, example=example),
        Answer(200, "It was refunded before.", Payment, example=example),
    )


CALLS = (
    Call(
        method="POST",
        path="/payments/{payment_id}/refunds",
        name="refund_own",
        group="Payments",
        summary="Refund one's own payment",
        says=(
            "If the concert allows it (`refundable_until`), before the show starts. The whole "
            "amount returns to the balance, the seats are available at once, the tickets are void."
        ),
        who=Who.USER,
        params={"payment_id": UUID},
        idempotent=True,
        answers=_answers("buyer"),
        refusals=(NotFound, RefundClosed, AlreadyCheckedIn),
        handler=refund_own,
    ),
    Call(
        method="POST",
        path="/admin/payments/{payment_id}/refunds",
        name="refund",
        group="Operator",
        summary="Refund a payment",
        says=(
            "Until one of its tickets is checked in. The whole amount returns to the balance, the "
            "seats are available at once, the tickets are void."
        ),
        who=Who.OPERATOR,
        params={"payment_id": UUID},
        idempotent=True,
        answers=_answers("operator"),
        refusals=(NotFound, AlreadyCheckedIn),
        handler=refund,
    ),
    Call(
        method="POST",
        path="/admin/shows/{show_id}/cancellation",
        name="cancel_show",
        group="Operator",
        summary="Cancel a show",
        says=(
            "Its seats can't be held or paid from this moment, and its holds are released. Then "
            "every payment is refunded, checked-in tickets included. Repeating the call changes "
            "nothing."
        ),
        who=Who.OPERATOR,
        params={"show_id": UUID},
        answers=(Answer(202, "The show is cancelled; the progress of its refunds.", Cancellation),),
        refusals=(NotFound,),
        handler=cancel_show,
    ),
    Call(
        method="GET",
        path="/admin/shows/{show_id}/cancellation",
        name="cancellation",
        group="Operator",
        summary="Get the progress of a cancellation",
        who=Who.OPERATOR,
        params={"show_id": UUID},
        answers=(Answer(200, "The progress of the refunds.", Cancellation),),
        refusals=(NotFound,),
        handler=cancellation,
    ),
)
