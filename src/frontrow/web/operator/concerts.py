"""The operator's calls: concerts, waiting rooms, statistics."""

import re
from typing import Annotated
from uuid import UUID

import msgspec
from blacksheep import Response
from msgspec import Meta

from frontrow.audit import Finding, audit
from frontrow.concerts.model import ConcertChange, CreatedConcert, NewConcert, NewShows
from frontrow.errors import NotFound, VersionConflict
from frontrow.payments.model import SeatCounts
from frontrow.waiting_room.reports.statistics import LineStatistics
from frontrow.waiting_room.settings import NewSettings, RoomSettings
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import created, ok
from frontrow.web.requests import if_match

_VERSION = re.compile(r'"(\d{1,9})"', re.ASCII)
_EXAMPLE_SHOW = {"starts_at": "2027-03-14T19:30:00+09:00", "price": 50000}


class NewConcertWithRoom(NewConcert, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new concert with its waiting room."""

    waiting_room: RoomSettings = RoomSettings()


class Statistics(LineStatistics, frozen=True):
    """Statistics of a sale: its line and its seats."""

    seats: SeatCounts
    revenue: Annotated[int, Meta(description="In the currency's minor unit.")]
    holds_expired: Annotated[int, Meta(description="Holds that expired unpaid.")]


class Audit(msgspec.Struct, frozen=True):
    """The invariants and their violations."""

    violations: int
    findings: list[Finding]


async def create_concert(ask: Ask) -> Response:
    """Creates a concert."""
    ask.body.waiting_room.check("/waiting_room")
    made, replayed = await ask.services.concerts.create(
        ask.body, ask.body.waiting_room, ask.idempotency_key
    )
    await ask.services.rooms.snapshot.refresh()
    return created(made, replayed=replayed)


async def change_concert(ask: Ask) -> Response:
    """Changes a concert."""
    await ask.services.concerts.change(ask.params["concert_id"], ask.body)
    return ok(ask.body)


async def add_shows(ask: Ask) -> Response:
    """Adds shows to a concert."""
    made, replayed = await ask.services.concerts.add_shows(
        ask.params["concert_id"], ask.body.shows, ask.idempotency_key
    )
    return created(made, replayed=replayed)


async def waiting_room(ask: Ask) -> Response:
    """Returns the settings of a waiting room under the entity tag of their version."""
    stored = await ask.services.rooms.stored_settings(ask.params["concert_id"])
    response = ok(stored.settings)
    response.add_header(b"etag", stored.etag.encode())
    return response


async def configure(ask: Ask) -> Response:
    """Replaces the settings of a waiting room, if they are a version that the caller knows."""
    tags = if_match(ask.request)
    known = None if tags is None else [int(tag[1]) for tag in map(_VERSION.fullmatch, tags) if tag]
    await ask.services.rooms.configure(ask.params["concert_id"], ask.body, known_versions=known)
    return await waiting_room(ask)


async def pause(ask: Ask) -> Response:
    """Pauses admission."""
    await ask.services.rooms.pause(ask.params["concert_id"], paused=True)
    return await waiting_room(ask)


async def resume(ask: Ask) -> Response:
    """Resumes admission."""
    await ask.services.rooms.pause(ask.params["concert_id"], paused=False)
    return await waiting_room(ask)


async def statistics(ask: Ask) -> Response:
    """Returns the statistics of a sale."""
    concert_id: UUID = ask.params["concert_id"]
    line = await ask.services.rooms.statistics(concert_id)
    sales = await ask.services.payments.sales(concert_id)
    return ok(Statistics(**msgspec.structs.asdict(line), **msgspec.structs.asdict(sales)))


async def run_audit(ask: Ask) -> Response:
    """Checks the invariants on the live database."""
    async with ask.services.pool.acquire() as connection:
        findings = await audit(connection)
    return ok(Audit(sum(finding.violations for finding in findings), findings))


_CONCERT = {"concert_id": UUID}
_SETTINGS = Answer(
    200, "Its policy and times.", RoomSettings, headers={"ETag": "The version of these settings."}
)

CALLS = (
    Call(
        method="POST",
        path="/admin/concerts",
        name="create_concert",
        group="Operator",
        summary="Create a concert",
        says=(
            "With its waiting room, shows and seats, in one transaction. A show has sections, or "
            "one price for all seats; seat numbers run 1..n through the sections in order."
        ),
        who=Who.OPERATOR,
        body=NewConcertWithRoom,
        example={
            "title": "An evening",
            "waiting_room": {"policy": {"kind": "max_active", "max_active": 100}},
            "shows": [_EXAMPLE_SHOW],
        },
        idempotent=True,
        answers=(Answer(201, "The concert is on sale.", CreatedConcert),),
        handler=create_concert,
    ),
    Call(
        method="PATCH",
        path="/admin/concerts/{concert_id}",
        name="change_concert",
        group="Operator",
        summary="Change a concert",
        says="Fields that are left out stay as they are. Active holds keep their end.",
        who=Who.OPERATOR,
        params=_CONCERT,
        body=ConcertChange,
        example={"hold_seconds": 240},
        answers=(Answer(200, "The changes.", ConcertChange),),
        refusals=(NotFound,),
        handler=change_concert,
    ),
    Call(
        method="POST",
        path="/admin/concerts/{concert_id}/shows",
        name="add_shows",
        group="Operator",
        summary="Add shows to a concert",
        who=Who.OPERATOR,
        params=_CONCERT,
        body=NewShows,
        example={"shows": [_EXAMPLE_SHOW]},
        idempotent=True,
        answers=(Answer(201, "The shows are on sale.", CreatedConcert),),
        refusals=(NotFound,),
        handler=add_shows,
    ),
    Call(
        method="GET",
        path="/admin/concerts/{concert_id}/waiting-room",
        name="waiting_room",
        group="Operator",
        summary="Get the settings of a waiting room",
        who=Who.OPERATOR,
        params=_CONCERT,
        answers=(_SETTINGS,),
        refusals=(NotFound,),
        handler=waiting_room,
    ),
    Call(
        method="PUT",
        path="/admin/concerts/{concert_id}/waiting-room",
        name="configure_waiting_room",
        group="Operator",
        summary="Replace the settings of a waiting room",
        says=(
            "Replaces all of them, in force within a second on every process. Places stay. With "
            "`If-Match`, only if nobody has changed them since that version; without it, the last "
            "write wins."
        ),
        who=Who.OPERATOR,
        params=_CONCERT,
        body=NewSettings,
        example={"policy": {"kind": "rate", "admit": 50, "every_seconds": 10}},
        answers=(_SETTINGS,),
        refusals=(NotFound, VersionConflict),
        handler=configure,
    ),
    Call(
        method="POST",
        path="/admin/concerts/{concert_id}/waiting-room/pause",
        name="pause_waiting_room",
        group="Operator",
        summary="Pause admission",
        says="Admitted users may finish.",
        who=Who.OPERATOR,
        params=_CONCERT,
        answers=(_SETTINGS,),
        refusals=(NotFound,),
        handler=pause,
    ),
    Call(
        method="POST",
        path="/admin/concerts/{concert_id}/waiting-room/resume",
        name="resume_waiting_room",
        group="Operator",
        summary="Resume admission",
        who=Who.OPERATOR,
        params=_CONCERT,
        answers=(_SETTINGS,),
        refusals=(NotFound,),
        handler=resume,
    ),
    Call(
        method="GET",
        path="/admin/concerts/{concert_id}/stats",
        name="statistics",
        group="Operator",
        summary="Get the statistics of a sale",
        who=Who.OPERATOR,
        params=_CONCERT,
        answers=(Answer(200, "The statistics.", Statistics),),
        refusals=(NotFound,),
        handler=statistics,
    ),
    Call(
        method="GET",
        path="/admin/audit",
        name="audit",
        group="Operator",
        summary="Check every invariant on the live database",
        says="In one snapshot. It reads everything, and may take long on a large database.",
        who=Who.OPERATOR,
        answers=(Answer(200, "The invariants and their violations.", Audit),),
        handler=run_audit,
    ),
)
