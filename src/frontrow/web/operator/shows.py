"""The operator's calls about a show."""

from uuid import UUID

from blacksheep import Response

from frontrow.concerts.model import SaleChange, SeatMap, Show, ShowSale
from frontrow.errors import NotFound, ShowClosed
from frontrow.payments.sales import LetIn, let_in
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import ok
from frontrow.web.seat_maps import MAP_HEADERS, UNCHANGED, MapQuery, map_answer


async def end_sale(ask: Ask) -> Response:
    """Sets when the sale of a show ends."""
    sale = await ask.services.concerts.end_sale(ask.params["show_id"], ask.body.sales_end_at)
    return ok(sale)


async def seats(ask: Ask) -> Response:
    """Returns the seats of a show."""
    found = await ask.services.seat_maps.read(None, await _show(ask))
    return await map_answer(ask.request, found, ask.query or MapQuery())


async def gates(ask: Ask) -> Response:
    """Returns the number of checked-in tickets."""
    return ok(await let_in(ask.services.pool, (await _show(ask)).show_id))


async def _show(ask: Ask) -> Show:
    show_id: UUID = ask.params["show_id"]
    concert_id = await ask.services.catalogue.concert_of(show_id)
    if concert_id is None:
        raise NotFound
    return await ask.services.catalogue.show(concert_id, None, show_id)


_SHOW = {"show_id": UUID}

CALLS = (
    Call(
        method="PATCH",
        path="/admin/shows/{show_id}",
        name="end_sale",
        group="Operator",
        summary="Set when the sale of a show ends",
        says=(
            "Null: at its start. A past time ends the sale at once, a later time reopens it. Seats "
            "that are held then can still be paid."
        ),
        who=Who.OPERATOR,
        params=_SHOW,
        body=SaleChange,
        example={"sales_end_at": "2027-03-14T17:00:00+09:00"},
        answers=(Answer(200, "The show and the end of its sale.", ShowSale),),
        refusals=(NotFound, ShowClosed),
        handler=end_sale,
    ),
    Call(
        method="GET",
        path="/admin/shows/{show_id}/seats",
        name="show_seats",
        group="Operator",
        summary="Get the seats of a show",
        says="In the same forms as for buyers; of a cancelled show too.",
        who=Who.OPERATOR,
        params=_SHOW,
        query=MapQuery,
        answers=(Answer(200, "The seats.", SeatMap, headers=MAP_HEADERS), UNCHANGED),
        refusals=(NotFound,),
        handler=seats,
    ),
    Call(
        method="GET",
        path="/admin/shows/{show_id}/check-ins",
        name="gates",
        group="Operator",
        summary="Count the checked-in tickets of a show",
        who=Who.OPERATOR,
        params=_SHOW,
        answers=(Answer(200, "The counts.", LetIn),),
        refusals=(NotFound,),
        handler=gates,
    ),
)
