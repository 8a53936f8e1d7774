"""The operator's calls about holds and sales."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.errors import NotFound
from frontrow.payments import sales
from frontrow.reservations.active_holds import ActiveHolds, active_holds
from frontrow.waiting_room.reports.history import LONGEST_MINUTES, LineHistory, line_history
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import ok
from frontrow.web.listings import PaymentsQuery


class HoldsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The size of a list of holds."""

    limit: Annotated[int, Meta(ge=1, le=200, description="Maximum number of holds.")] = 50


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The length of a history."""

    minutes: Annotated[
        int,
        Meta(
            ge=1, le=LONGEST_MINUTES, description="The number of minutes, the present one included."
        ),
    ] = 60


async def shows(ask: Ask) -> Response:
    """Returns the shows of a concert and their sales."""
    return ok(await sales.shows_of_concert(ask.services.pool, ask.params["concert_id"]))


async def payments(ask: Ask) -> Response:
    """Returns the payments of a concert."""
    page = ask.query or PaymentsQuery()
    concert_id = await _concert(ask)
    found = await sales.payments_of_concert(
        ask.services.pool,
        concert_id,
        currency=ask.services.settings.currency,
        limit=page.limit,
        after=page.after,
    )
    return ok(found)


async def look_up(ask: Ask) -> Response:
    """Returns the payments found by an id."""
    found = await sales.payments_of_id(
        ask.services.pool, ask.params["any_id"], currency=ask.services.settings.currency
    )
    return ok(found)


async def holds(ask: Ask) -> Response:
    """Returns the holds that end next."""
    query = ask.query or HoldsQuery()
    return ok(await active_holds(ask.services.pool, await _concert(ask), limit=query.limit))


async def history(ask: Ask) -> Response:
    """Returns the last minutes of a line."""
    query = ask.query or HistoryQuery()
    concert_id: UUID = ask.params["concert_id"]
    return ok(await line_history(ask.services.pool, concert_id, minutes=query.minutes))


async def _concert(ask: Ask) -> UUID:
    concert_id: UUID = ask.params["concert_id"]
    await ask.services.catalogue.check_concert(concert_id)
    return concert_id


_OF_CONCERT: dict[str, Any] = {
    "method": "GET",
    "group": "Operator",
    "who": Who.OPERATOR,
    "params": {"concert_id": UUID},
    "refusals": (NotFound,),
}

CALLS = (
    Call(
        path="/admin/concerts/{concert_id}/shows",
        name="shows",
        summary="List the shows of a concert and their sales",
        answers=(Answer(200, "The shows.", sales.ConcertShows),),
        handler=shows,
        **_OF_CONCERT,
    ),
    Call(
        path="/admin/concerts/{concert_id}/payments",
        name="concert_payments",
        summary="List the payments of a concert",
        says="Newest first.",
        query=PaymentsQuery,
        answers=(Answer(200, "A page of payments.", sales.SoldPayments),),
        handler=payments,
        **_OF_CONCERT,
    ),
    Call(
        path="/admin/concerts/{concert_id}/holds",
        name="concert_holds",
        summary="List the holds that end next",
        query=HoldsQuery,
        answers=(Answer(200, "The holds.", ActiveHolds),),
        handler=holds,
        **_OF_CONCERT,
    ),
    Call(
        path="/admin/concerts/{concert_id}/history",
        name="history",
        summary="Get the last minutes of a line",
        says="Counted from its places; costs as much as the statistics.",
        query=HistoryQuery,
        answers=(Answer(200, "Counts per minute.", LineHistory),),
        handler=history,
        **_OF_CONCERT,
    ),
    Call(
        method="GET",
        path="/admin/lookups/{any_id}",
        name="look_up",
        group="Operator",
        summary="Find payments by an id",
        says=(
            "The id of a payment, a reservation, a ticket or a user; of a user the newest "
            f"{sales.LOOKED_UP}."
        ),
        who=Who.OPERATOR,
        params={"any_id": UUID},
        answers=(Answer(200, "The payments, newest first.", sales.FoundPayments),),
        refusals=(NotFound,),
        handler=look_up,
    ),
)
