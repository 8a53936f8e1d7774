"""How a line is doing, in numbers."""

from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.db.queries import load
from frontrow.waiting_room.observation import ForecastQuality, forecast_quality

_queries = load("frontrow.waiting_room")


class FinishedPlaces(msgspec.Struct, frozen=True):
    """Finished places by reason."""

    paid: int = 0
    left: int = 0
    expired: int = 0


class LineStatistics(msgspec.Struct, frozen=True):
    """The places of one line, counted."""

    waiting: int
    called: Annotated[int, Meta(description="Called and not finished: what the cap counts.")]
    claimed: Annotated[int, Meta(description="Of the called, those who have come.")]
    cap: Annotated[
        int | None, Meta(description="How many may be called and not finished at present.")
    ]
    finished: FinishedPlaces
    no_show_share: Annotated[
        float | None,
        Meta(
            description="Of those called whose claim is decided, the share who never came: their "
            "window ran out, or they left without coming. Null while there is none."
        ),
    ]
    joined_per_minute: Annotated[int, Meta(description="Joined within the last minute.")]
    admitted_per_minute: Annotated[int, Meta(description="Called within the last minute.")]
    finished_per_minute: Annotated[int, Meta(description="Finished within the last minute.")]
    forecast: Annotated[ForecastQuality, Meta(description="How good the forecasts were.")]


async def line_statistics(pool: asyncpg.Pool, concert_id: UUID) -> LineStatistics:
    """Counts the places of a concert's line. A scan of the line: for an operator, now and then."""
    rows = await _queries.place_counts(pool, concert_id=concert_id)

    def total(of: str = "places", **wanted: object) -> int:
        return sum(row[of] for row in rows if all(row[k] == v for k, v in wanted.items()))

    came = total(claimed=True)
    never_came = total(state="finished", called=True, claimed=False)
    return LineStatistics(
        waiting=total(state="waiting"),
        called=total(state="admitted"),
        claimed=total(state="admitted", claimed=True),
        cap=await _queries.cap_of_room(pool, concert_id=concert_id),
        finished=FinishedPlaces(
            *(total(state="finished", reason=r) for r in FinishedPlaces.__struct_fields__)
        ),
        no_show_share=never_came / (came + never_came) if came + never_came else None,
        joined_per_minute=total("joined_lately"),
        admitted_per_minute=total("admitted_lately"),
        finished_per_minute=total("finished_lately"),
        forecast=await forecast_quality(pool, concert_id),
    )
