"""The states of a place, a reservation and a payment in the examples of a purchase.

The document names them, so ``Prefer: example=admitted`` selects one from the mock.
"""

from collections.abc import Mapping
from typing import Any

from frontrow.web.openapi import examples

_ISSUED_AT = "2026-11-22T09:58:12Z"
_WAITING: Mapping[str, Any] = {
    "user_id": examples.USER,
    "concert_id": examples.CONCERT,
    "number": examples.NUMBER,
    "position": examples.NUMBER,
    "state": "waiting",
    "ahead": 142,
    "eta_seconds": {"p50": 40, "p90": 75},
    "poll_after_ms": 2714,
    "room_state": "open",
    "sale": "open",
    "seats_available": 1086,
    "seats_outnumbered": False,
    "issued_at": _ISSUED_AT,
    "admitted_at": None,
    "claimed_at": None,
    "expires_at": None,
    "reason": None,
}
_ADMITTED: Mapping[str, Any] = {
    **_WAITING,
    "state": "admitted",
    "ahead": 0,
    "eta_seconds": None,
    "poll_after_ms": 1480,
    "admitted_at": examples.CALLED_AT,
    "expires_at": "2026-11-22T10:02:00.113907Z",
}


def _finished(reason: str) -> Mapping[str, Any]:
    return {**_ADMITTED, "state": "finished", "expires_at": None, "reason": reason}


STATUSES: Mapping[str, Any] = {
    "waiting": _WAITING,
    "admitted": _ADMITTED,
    "paid": _finished("paid"),
    "left": _finished("left"),
    "expired": _finished("expired"),
}
"""A place before, during and after its admission; a finished one by its reason."""

JOINED: Mapping[str, Any] = {
    name: {**STATUSES[name], "token": examples.SIGNED_PLACE} for name in ("waiting", "admitted")
}
"""The states of a live place, with its token."""

_HELD: Mapping[str, Any] = examples.EXAMPLES["Reservation"]
RESERVATIONS: Mapping[str, Any] = {
    "held": _HELD,
    "paid": {**_HELD, "state": "paid", "payment_id": examples.PAYMENT},
    "released": {**_HELD, "state": "released"},
    "expired": {**_HELD, "state": "expired"},
    "refunded": {**_HELD, "state": "refunded", "payment_id": examples.PAYMENT},
}

PAYMENTS: Mapping[str, Any] = {
    "paid": examples.EXAMPLES["Payment"],
    "refunded": examples.refunded("buyer"),
}
