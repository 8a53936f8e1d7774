"""The status of one place, from the snapshot and from the database's row. Pure."""

import random
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from frontrow.errors import FinishReason
from frontrow.ids import PlaceRef
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.model import PlaceState, Status
from frontrow.waiting_room.queries import PlaceRow

PRUNED_REASON: FinishReason = "expired"
"""The reported reason of a place that has been pruned."""

_NEAREST_POLL_MS = 1_000
_FARTHEST_POLL_MS = 30_000
_POLL_MS_PER_USER_AHEAD = 10


class StoredPlace(NamedTuple):
    """A place as stored; a token with another ``place_id`` is forged."""

    place_id: UUID | None
    state: PlaceState | None
    reason: FinishReason | None
    admitted_at: datetime | None
    claimed_at: datetime | None
    expires_at: datetime | None


def stored_place(row: PlaceRow) -> StoredPlace:
    """Returns a place that was read: finished once its time has passed, stored as such or not."""
    if row.state == "admitted" and row.overdue:
        return StoredPlace(
            row.place_id, "finished", "expired", row.admitted_at, row.claimed_at, None
        )
    return StoredPlace(
        row.place_id, row.state, row.reason, row.admitted_at, row.claimed_at, row.expires_at
    )


def pruned_place(place_id: UUID) -> StoredPlace:
    """Returns a place that has been pruned. How it finished isn't known any more."""
    return StoredPlace(place_id, "finished", PRUNED_REASON, None, None, None)


def waiting_status(place: PlaceRef, line: Line) -> Status:
    """Returns the status of a waiting place."""
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


def status_of(place: PlaceRef, line: Line, stored: StoredPlace) -> Status:
    """Returns the status of a stored place.

    Raises:
        ValueError: there is no such place.
    """
    if stored.state is None:
        raise ValueError(place)
    if stored.state == "waiting" and not line.has_served(place.number):
        return waiting_status(place, line)
    return Status(
        user_id=place.user_id,
        concert_id=place.concert_id,
        number=place.number,
        position=line.position_of(place.number),
        state=stored.state,
        ahead=0,
        eta_seconds=None,
        poll_after_ms=poll_after_ms(0, line.claim_seconds),
        room_state=line.state,
        sale=line.sale,
        seats_available=line.seats_available,
        seats_outnumbered=line.seats_available <= 0,
        issued_at=place.issued_at,
        admitted_at=stored.admitted_at,
        claimed_at=stored.claimed_at,
        expires_at=stored.expires_at if stored.state == "admitted" else None,
        reason=stored.reason,
    )


def poll_after_ms(ahead: int, claim_seconds: int) -> int:
    """Returns the time until the next poll: longer the more users are ahead, with jitter.

    From 1,000–2,000 ms in front to 30,000 ms far back; at most a third of the claim window, so that
    no admission is missed.
    """
    # Not min(), which takes three times as long: this runs for each poll.
    third = claim_seconds * 1000 // 3
    half = (third if third < _FARTHEST_POLL_MS else _FARTHEST_POLL_MS) // 2  # noqa: FURB136
    wanted = _NEAREST_POLL_MS + _POLL_MS_PER_USER_AHEAD * ahead
    base = wanted if wanted < half else half  # noqa: FURB136
    return int(base * (1 + random.random()))  # noqa: S311 - spreads load, guards nothing
