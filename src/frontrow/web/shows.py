"""The operator's calls about one show."""

from uuid import UUID

from blacksheep import Response

from frontrow.concerts.model import SaleChange, ShowSale
from frontrow.errors import NotFound, ShowClosed
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import ok


async def end_sale(ask: Ask) -> Response:
    """Sets when the sale of a show ends."""
    sale = await ask.services.concerts.end_sale(ask.params["show_id"], ask.body.sales_end_at)
    return ok(sale)


CALLS = (
    Call(
        method="PATCH",
        path="/admin/shows/{show_id}",
        name="end_sale",
        group="Operator",
        summary="Set when the sale of a show ends",
        says=(
            "Null: at its start. A time that has passed ends the sale at once, a later one opens "
            "it again. Seats that are held by then can still be paid."
        ),
        who=Who.OPERATOR,
        params={"show_id": UUID},
        body=SaleChange,
        example={"sales_end_at": "2027-03-14T17:00:00+09:00"},
        answers=(Answer(200, "The show and the end of its sale.", ShowSale),),
        refusals=(NotFound, ShowClosed),
        handler=end_sale,
    ),
)
