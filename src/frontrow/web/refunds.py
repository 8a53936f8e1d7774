"""Calls that give purchases back."""

from uuid import UUID

from blacksheep import Response

from frontrow.errors import AlreadyCheckedIn, NotFound, RefundClosed
from frontrow.payments.model import Payment
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, ok


async def refund(ask: Ask) -> Response:
    """Refunds any payment, for the operator."""
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


_ANSWERS = (
    Answer(201, "Refunded.", Payment),
    Answer(200, "It had been refunded already.", Payment),
)

CALLS = (
    Call(
        method="POST",
        path="/payments/{payment_id}/refunds",
        name="refund_own",
        group="Payments",
        summary="Give a purchase back",
        says=(
            "Where the concert allows it (`refundable_until`), and before the show starts. The "
            "whole amount goes back to the balance, the seats are free at once, the tickets void."
        ),
        who=Who.USER,
        params={"payment_id": UUID},
        idempotent=True,
        answers=_ANSWERS,
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
            "At any time. The whole amount goes back to the balance, the seats are free at once, "
            "the tickets void."
        ),
        who=Who.OPERATOR,
        params={"payment_id": UUID},
        idempotent=True,
        answers=_ANSWERS,
        refusals=(NotFound, AlreadyCheckedIn),
        handler=refund,
    ),
)
