"""Calls about concerts and their dates."""

from datetime import date
from functools import lru_cache
from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.concerts.model import Dates
from frontrow.errors import NotAllowed, NotFound
from frontrow.listings import AFTER, KEPT_PAGES, ConcertPage, ListQuery, ShownConcert
from frontrow.text_rules import LINE
from frontrow.web.bodies import SHARED, Body
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import JSON, encode, ok


class ConcertsQuery(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"text": "q", "first": "from", "last": "to"},
):
    """Which concerts to list."""

    text: (
        Annotated[
            str,
            Meta(
                max_length=100,
                pattern=LINE,
                description="A part of the title, artist or venue, in any case.",
            ),
        ]
        | None
    ) = None
    first: (
        Annotated[date, Meta(description="Only concerts with a show on this day or later.")] | None
    ) = None
    last: (
        Annotated[date, Meta(description="Only concerts with a show on this day or earlier.")]
        | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=200, description="Maximum size of the page.")] = 50
    after: Annotated[str, Meta(pattern=AFTER, description="`next` of the page before.")] | None = (
        None
    )


class DatesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dates to list."""

    all: Annotated[bool, Meta(description="Also dates without available seats.")] = False


async def concerts(ask: Ask) -> Response:
    """Returns a page of the list of concerts."""
    asked = ask.query or ConcertsQuery()
    text = (asked.text or "").strip() or None
    query = ListQuery(text, asked.first, asked.last, asked.limit, asked.after)
    page = await ask.services.listings.page(query)
    return _encoded(page).answer(ask.request, SHARED)


async def concert(ask: Ask) -> Response:
    """Returns a concert."""
    found = await ask.services.listings.concert(ask.params["concert_id"])
    return _encoded(found).answer(ask.request, SHARED)


@lru_cache(KEPT_PAGES)
def _encoded(shown: ConcertPage | ShownConcert) -> Body:
    return Body.of(encode(shown), JSON)


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


_CACHED = {
    "ETag": "The version of the answer, for If-None-Match.",
    "Cache-Control": "Public, one second in shared caches.",
}

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
        says=(
            "In pages: those on sale by their next date, then those that have ended, the latest "
            "first. Read once a second at most, so a change on another process is up to a second "
            "late."
        ),
        query=ConcertsQuery,
        answers=(
            Answer(200, "A page of concerts.", ConcertPage, headers=_CACHED),
            Answer(304, "The page has not changed since the version in If-None-Match."),
        ),
        handler=concerts,
    ),
    Call(
        method="GET",
        path="/concerts/{concert_id}",
        name="concert",
        group="Dates and seats",
        summary="Get a concert",
        says="With its description and shows. Read once a second at most.",
        params={"concert_id": UUID},
        answers=(
            Answer(200, "The concert.", ShownConcert, headers=_CACHED),
            Answer(304, "The concert has not changed since the version in If-None-Match."),
        ),
        refusals=(NotFound,),
        handler=concert,
    ),
)
