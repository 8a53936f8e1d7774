"""Calls about tickets."""

from uuid import UUID

from blacksheep import Response

from frontrow.errors import NotFound
from frontrow.payments.model import Ticket
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import ok


async def ticket(ask: Ask) -> Response:
    """Shows a ticket."""
    return ok(await ask.services.tickets.ticket(ask.user_id, ask.params["ticket_id"]))


CALLS = (
    Call(
        method="GET",
        path="/tickets/{ticket_id}",
        name="ticket",
        group="Tickets",
        summary="Show a ticket",
        who=Who.USER,
        params={"ticket_id": UUID},
        answers=(Answer(200, "The ticket.", Ticket),),
        refusals=(NotFound,),
        handler=ticket,
    ),
)
