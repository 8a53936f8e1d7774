"""Calls about concerts and their dates."""

from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.concerts.model import Dates
from frontrow.errors import NotAllowed, NotFound
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import ok
from frontrow.web.listings import ListedConcert, on_sale


class Concerts(msgspec.Struct, frozen=True):
    """The concerts on sale."""

    concerts: list[ListedConcert]


class DatesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dates to list."""

    all: Annotated[bool, Meta(description="Also dates without available seats.")] = False


async def concerts(ask: Ask) -> Response:
    """Returns the concerts on sale."""
    return ok(Concerts(await on_sale(ask.services)))


async def dates(ask: Ask) -> Response:
    """Returns the dates of a concert."""
    concert_id = _own_concert(ask)
    all_dates = ask.query is not None and ask.query.all
    return ok(await ask.services.catalogue.dates(concert_id, all_dates=all_dates))


def _own_concert(ask: Ask) -> UUID:
    """Returns the concert of the path.

    Raises:
        NotAllowed: the token is another concert's.
    """
    concert_id: UUID = ask.params["concert_id"]
    if concert_id != ask.queue_token.concert_id:
        raise NotAllowed
    return concert_id


CALLS = (
    Call(
        method="GET",
        path="/concerts/{concert_id}/dates",
        name="dates",
        group="Dates and seats",
        summary="List the dates with available seats",
        who=Who.ADMITTED,
        enters=True,
        params={"concert_id": UUID},
        query=DatesQuery,
        answers=(Answer(200, "The dates.", Dates),),
        refusals=(NotAllowed, NotFound),
        handler=dates,
    ),
    Call(
        method="GET",
        path="/concerts",
        name="concerts",
        group="Dates and seats",
        summary="List the concerts on sale",
        answers=(Answer(200, "The concerts.", Concerts),),
        handler=concerts,
    ),
)
