"""The call of the gate: check-in."""

from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.errors import AlreadyCheckedIn, NotFound, TicketVoid, WrongShow
from frontrow.payments.check_in import CheckIn, Scan
from frontrow.text_rules import VISIBLE_LINE
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import ok
from frontrow.web.openapi.examples import CODE


class NewCheckIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scanned code, and optionally the gate's name, show or concert."""

    code: Annotated[str, Meta(max_length=1000, description="The ticket's code, as scanned.")]
    gate: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100, pattern=VISIBLE_LINE)] | None,
        Meta(description="The name of the gate; reported if the ticket is scanned again."),
    ] = None
    show_id: Annotated[
        UUID | None, Meta(description="The show of this gate: tickets of other shows are refused.")
    ] = None
    concert_id: Annotated[
        UUID | None,
        Meta(description="The concert of this gate: tickets of other concerts are refused."),
    ] = None


async def check_in(ask: Ask) -> Response:
    """Checks a ticket in."""
    scan = Scan(ask.body.code, ask.body.gate, ask.body.show_id, ask.body.concert_id)
    done, replayed = await ask.services.check_ins.check_in(scan, ask.idempotency_key)
    return ok(done, replayed=replayed)


CALLS = (
    Call(
        method="POST",
        path="/admin/tickets/check-ins",
        name="check_in",
        group="Operator",
        summary="Check a ticket in",
        says=("Exactly once, also when two gates scan it at the same time. A forged code is 404."),
        who=Who.OPERATOR,
        body=NewCheckIn,
        example={"code": CODE, "gate": "North 2"},
        idempotent=True,
        answers=(Answer(200, "The ticket is checked in.", CheckIn),),
        refusals=(NotFound, WrongShow, TicketVoid, AlreadyCheckedIn),
        handler=check_in,
    ),
)
