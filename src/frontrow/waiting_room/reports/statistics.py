"""The statistics of a line."""

from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.waiting_room.forecasts.observation import forecast_quality
from frontrow.waiting_room.model import ForecastQuality
from frontrow.waiting_room.reports.queries import queries


class FinishedPlaces(msgspec.Struct, frozen=True):
    """Finished places by reason."""

    paid: int = 0
    left: int = 0
    expired: int = 0


class LineStatistics(msgspec.Struct, frozen=True):
    """The places of one line, counted."""

    waiting: int
    called: Annotated[int, Meta(description="Admitted and not finished: limited by the cap.")]
    claimed: Annotated[int, Meta(description="Of these, the places that have been claimed.")]
    cap: Annotated[
        int | None, Meta(description="The present limit of admitted, unfinished places.")
    ]
    finished: FinishedPlaces
    no_show_share: Annotated[
        float | None,
        Meta(
            description="Of the admitted places that were claimed or have finished, the share that "
            "was never claimed. Null while there are none."
        ),
    ]
    joined_per_minute: Annotated[int, Meta(description="Joined within the last minute.")]
    admitted_per_minute: Annotated[int, Meta(description="Admitted within the last minute.")]
    finished_per_minute: Annotated[int, Meta(description="Finished within the last minute.")]
    forecast: Annotated[ForecastQuality, Meta(description="The quality of the forecasts.")]


async def line_statistics(pool: asyncpg.Pool, concert_id: UUID) -> LineStatistics:
    """Counts the places of a line: a scan of the line, for occasional use by an operator."""
    rows = await queries.place_counts(pool, concert_id=concert_id)
    unfinished = [row for row in rows if row.state == "admitted"]
    claimed = sum(row.places for row in rows if row.claimed)
    unclaimed = sum(
        row.places for row in rows if row.state == "finished" and row.admitted and not row.claimed
    )
    return LineStatistics(
        waiting=sum(row.places for row in rows if row.state == "waiting"),
        called=sum(row.places for row in unfinished),
        claimed=sum(row.places for row in unfinished if row.claimed),
        cap=await queries.cap_of_line(pool, concert_id=concert_id),
        finished=FinishedPlaces(
            *(
                sum(row.places for row in rows if row.reason == reason)
                for reason in FinishedPlaces.__struct_fields__
            )
        ),
        no_show_share=unclaimed / (claimed + unclaimed) if claimed + unclaimed else None,
        joined_per_minute=sum(row.joined_lately for row in rows),
        admitted_per_minute=sum(row.admitted_lately for row in rows),
        finished_per_minute=sum(row.finished_lately for row in rows),
        forecast=await forecast_quality(pool, concert_id),
    )
