"""The examples of a purchase: a user pays for two seats and has them refunded.

All examples of the purchase are built from the same seats, price and times, so that they agree
(``tests/web/test_examples.py``). The other examples are in ``field_examples.py``.
"""

from collections.abc import Mapping
from typing import Any

USER = "3f2b8c1e-5d4a-4f6b-9e7c-1a2b3c4d5e6f"
CONCERT = "0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d"
SHOW = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
RESERVATION = "b54adc00-67f9-4b8e-93d3-2f0e8f0a1c55"
PAYMENT = "9a3f5b1c-2d4e-4a6f-8b7c-0d1e2f3a4b5c"
CHARGE = "5e0f4c2a-8b1d-4e7f-a6c3-9d2b1f0e3a4c"
REFUND = "4d2f6a1b-0c3e-4f5a-8b9d-7e6f5a4b3c2d"
TICKET = "2c1f9e4d-6a7b-4c8d-9e0f-1a2b3c4d5e60"
CODE = (
    "ASH-Md8sH55NantMjZ4PGis8TV5gfJ5meXQlQN6US-B_wfkK5wAAAAcOSu507XSM1SbWa0"
    "p7K7bOLRHoum5Nm4U5Os47fPdfZDc2uCrD5o52Czz6RKPG1LadLD9jN_LaIbliTL_t8QkK"
)
"""The code of the first ticket, signed with RFC 8032's first test key."""
SIGNED_PLACE = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImtpZCI6IjRmM2E5YzIxIn0.eyJpc3MiOiJmcm9udHJvdyIsInN1"
    "YiI6IjNmMmI4YzFlLTVkNGEtNGY2Yi05ZTdjLTFhMmIzYzRkNWU2ZiIsImp0aSI6IjZkMWYwYjdhLTNjMmUtNGQ1"
    "Zi04YTliLTBjMWQyZTNmNGE1YiIsImlhdCI6MTc5NTM0MTQ5MiwiY29uY2VydCI6IjAxOThjNWE0LTdmM2EtNGM1"
    "ZS05ZDViLTBlNmY3YThiOWMwZCIsInJvb20iOjcsIm51bWJlciI6NDk2fQ.zB_mxAKgPNUKmFLgd2ux8qJTDvvFF"
    "UbMvKMV-e4CcGA"
)
"""The queue token of the purchase, signed with the key of RFC 7515, A.1."""
_OTHER_TICKET = "8d3e5f7a-1b2c-4d6e-8f90-2b3c4d5e6f71"
_OTHER_CODE = (
    "ASH-Md-NPl96GyxNbo-QKzxNXm9xfJ5meXQlQN6US-B_wfkK5wAAAAhCpKLSGlS6PtLITfNEAPEQ"
    "L2VhP9E-qqXbkPLhLgfVBjL0avGDe07Lluq2Q5zglNt5V44ig7V5TwgUbsFXRRkI"
)

SEATS = [7, 8]
PRICE = 50_000
AMOUNT = PRICE * len(SEATS)
CHARGED = 200_000
LEFT = CHARGED - AMOUNT
SEATS_TOTAL = 1550
_SEATS_PER_ROW = 50
CURRENCY = "KRW"

STARTS_AT = "2027-03-14T10:30:00Z"
DATE = "2027-03-14"
JOINED_AT = "2026-11-22T09:58:12.004211Z"
CALLED_AT = "2026-11-22T10:00:00.113907Z"
_CLAIMED_AT = "2026-11-22T10:00:04.260118Z"
_CHARGED_AT = "2026-11-22T10:00:12.730554Z"
HELD_AT = "2026-11-22T10:00:30.482913Z"
HELD_UNTIL = "2026-11-22T10:05:30.482913Z"
PAID_AT = "2026-11-22T10:02:11.907114Z"
REFUNDED_AT = "2026-11-24T08:15:40.118203Z"
LET_IN_AT = "2027-03-14T10:02:41.318774Z"

NUMBER = 496
"""The user's number in the line."""

_TICKETS = list(zip((TICKET, _OTHER_TICKET), SEATS, (CODE, _OTHER_CODE), strict=True))

_HELD: Mapping[str, Any] = {
    "reservation_id": RESERVATION,
    "concert_id": CONCERT,
    "show_id": SHOW,
    "date": DATE,
    "starts_at": STARTS_AT,
    "seats": [{"number": number, "section": None, "price": PRICE} for number in SEATS],
    "amount": AMOUNT,
    "currency": CURRENCY,
    "state": "held",
    "held_until": HELD_UNTIL,
    "created_at": HELD_AT,
    "payment_id": None,
}

_PAID: Mapping[str, Any] = {
    "payment_id": PAYMENT,
    "reservation_id": RESERVATION,
    "user_id": USER,
    "amount": AMOUNT,
    "currency": CURRENCY,
    "balance": LEFT,
    "state": "paid",
    "seats": SEATS,
    "tickets": [
        {"ticket_id": ticket, "number": number, "code": code} for ticket, number, code in _TICKETS
    ],
    "paid_at": PAID_AT,
    "refund": None,
}

_REFUND: Mapping[str, Any] = {
    "refund_id": REFUND,
    "amount": AMOUNT,
    "balance": CHARGED,
    "refunded_at": REFUNDED_AT,
}


def refunded(reason: str) -> Mapping[str, Any]:
    """Returns the payment after its refund by ``buyer`` or ``operator``: its tickets are void."""
    return {
        **_PAID,
        "state": "refunded",
        "tickets": [{**ticket, "code": None} for ticket in _PAID["tickets"]],
        "refund": {**_REFUND, "reason": reason},
    }


def _ticket(ticket: str, number: int, code: str) -> Mapping[str, Any]:
    """Returns a complete ticket."""
    return {
        "ticket_id": ticket,
        "payment_id": PAYMENT,
        "concert_id": CONCERT,
        "title": "An evening",
        "venue": "The Hall, Seoul",
        "timezone": "Asia/Seoul",
        "show_id": SHOW,
        "date": DATE,
        "starts_at": STARTS_AT,
        "number": number,
        "section": None,
        "row": 1,
        "seat": number,
        "paid_at": PAID_AT,
        "state": "valid",
        "checked_in_at": None,
        "void_at": None,
        "void_reason": None,
        "code": code,
    }


_CHARGE_TRANSFER = {
    "transfer_id": CHARGE,
    "kind": "charge",
    "amount": CHARGED,
    "balance": CHARGED,
    "reference": None,
    "created_at": _CHARGED_AT,
}
_PAYMENT_TRANSFER = {
    "transfer_id": PAYMENT,
    "kind": "payment",
    "amount": AMOUNT,
    "balance": LEFT,
    "reference": PAYMENT,
    "created_at": PAID_AT,
}

EXAMPLES: Mapping[str, Any] = {
    "Balance.balance": CHARGED,
    "Charge.amount": CHARGED,
    "Charge.balance": CHARGED,
    "Charge.created_at": _CHARGED_AT,
    "NewCharge.amount": CHARGED,
    "Transfer": _PAYMENT_TRANSFER,
    "Transfers.transfers": [_PAYMENT_TRANSFER, _CHARGE_TRANSFER],
    "Reservation": _HELD,
    "NewReservation": {"date": DATE, "seats": SEATS},
    "ActiveHold.seats": SEATS,
    "Payment": _PAID,
    "Refund": {**_REFUND, "reason": "operator"},
    "Me.balance": LEFT,
    "Me.reservations": [{**_HELD, "state": "paid", "payment_id": PAYMENT}],
    "Me.tickets": [_ticket(*ticket) for ticket in _TICKETS],
    "Ticket": _ticket(*_TICKETS[0]),
    "SoldPayment.tickets": [
        {
            "ticket_id": ticket,
            "number": number,
            "state": "used",
            "checked_in_at": LET_IN_AT,
            "gate": "North 2",
        }
        for ticket, number, _ in _TICKETS
    ],
    "ExportedPlace": {
        "concert_id": CONCERT,
        "number": NUMBER,
        "state": "finished",
        "reason": "paid",
        "joined_at": JOINED_AT,
        "admitted_at": CALLED_AT,
        "claimed_at": _CLAIMED_AT,
        "expires_at": "2026-11-22T10:10:04.260118Z",
        "finished_at": PAID_AT,
    },
    "ExportedReservation.seats": SEATS,
    "ExportedPayment.balance": LEFT,
    "ExportedPayment.seats": SEATS,
    "UserExport.balance": LEFT,
    "UserExport.created_at": "2026-11-22T09:58:07.551026Z",
    "ExportedKey.created_at": "2026-11-22T09:58:07.551026Z",
    "UserExport.transfers": [_CHARGE_TRANSFER, _PAYMENT_TRANSFER],
    "UserExport.tickets": [
        {
            "ticket_id": ticket,
            "payment_id": PAYMENT,
            "show_id": SHOW,
            "number": number,
            "checked_in_at": None,
            "gate": None,
            "void_at": None,
            "void_reason": None,
        }
        for ticket, number, _ in _TICKETS
    ],
    "SeatMap": {
        "show_id": SHOW,
        "date": DATE,
        "starts_at": STARTS_AT,
        "version": "5d41402a-91744-1795341630482",
        "complete": False,
        "seats_available": 1086,
        "seats": [
            {"number": number, "section": None, "price": PRICE, "state": "available"}
            for number in SEATS
        ],
    },
    "SeatMap.sections": [
        {
            "name": None,
            "price": PRICE,
            "first_number": 1,
            "last_number": SEATS_TOTAL,
            "seats_per_row": _SEATS_PER_ROW,
        }
    ],
    "SeatMap.numbers": SEATS,
    "SeatMap.states": "aa",
}
"""By ``Type`` or ``Type.field``; ``field_examples.EXAMPLES`` has the others."""
