"""How one place stands, from what the snapshot and the database say. Pure."""

import random
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from frontrow.errors import FinishReason
from frontrow.ids import PlaceRef
from frontrow.waiting_room.model import PlaceState, Status
from frontrow.waiting_room.snapshot import Line

PRUNED_REASON: FinishReason = "expired"
"""What a place that is no longer kept is said to have ended as."""

_NEAREST_POLL_MS = 1_000
_FARTHEST_POLL_MS = 30_000
_POLL_MS_PER_PERSON_AHEAD = 10


class Standing(NamedTuple):
    """How a place stands in the database; ``place_id`` tells a token of ours from a forgery."""

    place_id: UUID | None
    state: PlaceState
    reason: FinishReason | None
    admitted_at: datetime | None
    claimed_at: datetime | None
    expires_at: datetime | None


def standing(row: asyncpg.Record) -> Standing:
    """A place as it was read. Past its time it is over, whether or not that was written down."""
    if row["state"] == "admitted" and row["overdue"]:
        return Standing(
            row["place_id"], "finished", "expired", row["admitted_at"], row["claimed_at"], None
        )
    return Standing(
        row["place_id"], row["state"], row["reason"], row["admitted_at"], row["claimed_at"],
        row["expires_at"],
    )  # fmt: skip


def pruned(place_id: UUID) -> Standing:
    """A place that is no longer kept. How it ended isn't known any more: its time is over."""
    return Standing(place_id, "finished", PRUNED_REASON, None, None, None)


def waiting_status(place: PlaceRef, line: Line) -> Status:
    """The status of a place that waits."""
    ahead = line.ahead_of(place.number)
    return Status(
        user_id=place.user_id,
        concert_id=place.concert_id,
        number=place.number,
        position=line.position_of(place.number),
        state="waiting",
        ahead=ahead,
        eta_seconds=line.eta(ahead),
        poll_after_ms=poll_after_ms(ahead, line.claim_seconds),
        room_state=line.state,
        sale=line.sale,
        seats_available=line.seats_available,
        seats_outnumbered=ahead >= line.seats_available,
        issued_at=place.issued_at,
        admitted_at=None,
        claimed_at=None,
        expires_at=None,
        reason=None,
    )


def status_of(place: PlaceRef, line: Line, stands: Standing) -> Status:
    """The status of a place that was looked up."""
    if stands.state == "waiting" and not line.has_called(place.number):
        return waiting_status(place, line)
    return Status(
        user_id=place.user_id,
        concert_id=place.concert_id,
        number=place.number,
        position=line.position_of(place.number),
        state=stands.state,
        ahead=0,
        eta_seconds=None,
        poll_after_ms=poll_after_ms(0, line.claim_seconds),
        room_state=line.state,
        sale=line.sale,
        seats_available=line.seats_available,
        seats_outnumbered=line.seats_available <= 0,
        issued_at=place.issued_at,
        admitted_at=stands.admitted_at,
        claimed_at=stands.claimed_at,
        expires_at=stands.expires_at if stands.state == "admitted" else None,
        reason=stands.reason,
    )


def poll_after_ms(ahead: int, claim_seconds: int) -> int:
    """When to ask again: the farther back the later, jittered, and often enough not to miss a call.

    From 1,000–2,000 ms in front to 30,000 ms far back, never above a third of the claim window.
    """
    longest = min(_FARTHEST_POLL_MS, claim_seconds * 1000 // 3)
    base = min(_NEAREST_POLL_MS + _POLL_MS_PER_PERSON_AHEAD * ahead, longest // 2)
    return int(base * (1 + random.random()))  # noqa: S311 - spreads load, guards nothing
