"""Descriptions of the API's fields, so that a name means the same everywhere.

A field of the OpenAPI document has the description of its type, or else the one here.
``Type.field`` takes precedence over ``field``.
"""

from collections.abc import Mapping
from typing import Any

DESCRIPTIONS: Mapping[str, str] = {
    "Balance.balance": "The user's balance in the currency's minor unit.",
    "Charge.balance": "The balance after the charge, in the currency's minor unit.",
    "Transfer.balance": "The balance after the transfer, in the currency's minor unit.",
    "Charge.amount": "The charged amount in the currency's minor unit.",
    "Transfer.amount": "The transferred amount in the currency's minor unit; always positive.",
    "Refund.amount": "The refunded amount: the whole payment.",
    "Refund.balance": "The balance after the refund, in the currency's minor unit.",
    "Cancellation.state": "cancelling → cancelled, when all payments are refunded.",
    "Transfer.kind": "A charge or a refund adds to the balance, a payment reduces it.",
    "Finding.checked": "The number of checked objects.",
    "Finding.violations": "The number of violations; any other value than 0 is a fault.",
    "Finding.examples": "Some of the objects that violate it.",
    "Finding.says": "What the invariant means.",
    "Health.status": "The state.",
    "NewSection.seats": "The number of seats, in one row unless `rows` is given.",
    "NewSection.rows": "The number of rows.",
    "NewSection.seats_per_row": "The number of seats in each row.",
    "NewShow.seats": "The number of seats of a show without sections.",
    "NewShow.price": "The price of each seat of a show without sections, in the minor unit.",
    "NewShow.sections": "The show's sections, in the order of their seat numbers.",
    "NewSection.name": "The name of the section.",
    "Payment.state": "paid → refunded.",
    "Payment.amount": "The paid amount in the currency's minor unit.",
    "NewPayment.amount": "The amount that the user agreed to pay, in the currency's minor unit.",
    "NewCharge.amount": "The amount to charge in the currency's minor unit.",
    "SeatMap.complete": "Whether the answer has all seats, or only those that may have changed.",
    "SeatMap.numbers": "The numbers of the seats in `states`; absent if it has all seats.",
    "SeatMap.seats": "The seats in the order of their numbers; in the plain form.",
    "SeatMap.sections": "The show's sections, in order; absent if the answer has not all seats.",
    "SeatMap.states": "A letter for each seat, in order: a, h, s: available, held, sold; compact.",
    "SeatMap.version": "The version of the map, for `since`.",
    "Section.name": "The name of the section; null if it is the only one.",
    "first_number": "The number of its first seat.",
    "last_number": "The number of its last seat.",
    "seats_per_row": "The number of seats in a row.",
    "Reservation.seats": "Its seats in the order of their numbers.",
    "Seat.state": "The state of the seat.",
    "SeatMap.seats_available": "The number of available seats of the show.",
    "ShowStock.seats_available": "The number of available seats of the show.",
    "ListedShow.seats_available": "The number of available seats of the show.",
    "Payment.tickets": "A ticket for each seat.",
    "SoldPayment.amount": "The paid amount in the currency's minor unit.",
    "SoldPayment.state": "paid → refunded.",
    "SoldPayment.tickets": "A ticket for each seat.",
    "ShowSales.seats": "The show's seats by state.",
    "LineHistory.as_of": "The time of the counts.",
    "minutes": "The minutes; the present one is the last.",
    "any_id": "The id of a payment, a reservation, a ticket, or a user.",
    "NewConcertWithRoom.waiting_room": "The concert's waiting room.",
    "FinishedPlaces.paid": "Places finished by a payment.",
    "FinishedPlaces.left": "Places whose users left.",
    "FinishedPlaces.expired": "Places that expired.",
    "Statistics.finished": "Finished places by reason.",
    "Statistics.seats": "The concert's seats by state.",
    "Statistics.waiting": "Waiting places.",
    "artist": "The artist.",
    "parameters": "The parameters of the challenge.",
    "CheckIn.checked_in_at": "When the ticket was checked in.",
    "charge_id": "The charge; also the id of its transfer.",
    "claim_seconds": "The time that an admitted user has to make the first call, in seconds.",
    "concert_id": "The concert.",
    "concerts": "The concerts.",
    "created_at": "When it was created.",
    "currency": "The currency (ISO 4217).",
    "date": "The date of the show in the venue's time zone.",
    "dates": "The dates, in order.",
    "drawn_at": "When the line was drawn.",
    "entries": "The entrants in the order of their numbers.",
    "ExportedPayment.amount": "The paid amount in the currency's minor unit.",
    "ExportedPayment.balance": "The balance after the payment, in the currency's minor unit.",
    "ExportedPayment.seats": "Its seats in the order of their numbers.",
    "ExportedPayment.state": "paid → refunded.",
    "ExportedPlace.admitted_at": "When the place was admitted.",
    "ExportedPlace.claimed_at": "When the first admitted call was made.",
    "ExportedPlace.finished_at": "When the place was finished.",
    "ExportedPlace.joined_at": "When the user joined.",
    "ExportedPlace.state": "waiting → admitted → finished.",
    "ExportedReservation.amount": "The price of the seats in the currency's minor unit.",
    "ExportedReservation.held_until": "The end of the hold.",
    "ExportedReservation.seats": "Its seats in the order of their numbers.",
    "ExportedReservation.state": "held → paid, released or expired; paid → refunded.",
    "UserExport.balance": "The user's balance in the currency's minor unit.",
    "UserExport.payments": "In order of time.",
    "UserExport.tickets": "In order of their payments.",
    "UserExport.transfers": "In order of time.",
    "findings": "The invariants.",
    "first_date": "The date of the first show.",
    "description": "The description of the concert; null: none.",
    "poster_url": "The https URL of its poster; null: none.",
    "age_limit": "The least age of its visitors, in years; null: any.",
    "ShownConcert.shows": "The shows of the concert, in order of time.",
    "invariant": "The name of the invariant.",
    "key_id": "The id of the key; contained in what it signs.",
    "keys": "The keys, by purpose, in the order in which they sign.",
    "kind": "The kind of policy.",
    "last_date": "The date of the last show.",
    "next": "The `after` of the next page; null on the last one.",
    "number": "The seat's number within its show.",
    "opens_at": "When admission starts.",
    "closes_at": "When joining ends.",
    "paid_at": "When it was paid.",
    "payment_id": "The payment; null if there is none.",
    "payments": "The payments, newest first.",
    "price": "The price of the seat in the currency's minor unit.",
    "price_from": "The lowest price in the currency's minor unit.",
    "refund_id": "The refund; also the id of its transfer.",
    "refunded_at": "When it was refunded.",
    "reference": "The payment of the transfer; null for a charge.",
    "reservation_id": "The reservation.",
    "sales_end_at": "When the sale of the show ends; by default when the show starts.",
    "seats_total": "The number of seats of the show, sold ones included.",
    "section": "The section of the seat, if the show has several.",
    "SeatCounts.total": "All seats of the concert.",
    "SeatCounts.available": "Available seats.",
    "SeatCounts.held": "Held seats.",
    "SeatCounts.sold": "Sold seats.",
    "show_id": "The show.",
    "shows": "The shows, in order of time.",
    "starts_at": "When the show starts.",
    "ticket_id": "The ticket.",
    "timezone": "The venue's time zone (IANA).",
    "title": "The title of the concert.",
    "transfer_id": "The transfer.",
    "transfers": "The transfers, newest first.",
    "user_id": "The user.",
    "user_key": "The user's credential; shown only once.",
    "venue": "The venue.",
    "violations": "The number of violations; any other value than 0 is a fault.",
}


def _list_of(name: str) -> Mapping[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


RULES: Mapping[str, Mapping[str, Any]] = {
    "NewReservation": {
        "allOf": [
            {
                "anyOf": [
                    {"required": ["date"], "properties": {"date": {"type": "string"}}},
                    {"required": ["show_id"], "properties": {"show_id": {"type": "string"}}},
                ]
            },
            {
                "oneOf": [
                    {
                        "required": ["seats"],
                        "properties": {
                            "seats": {"type": "array", "items": {"type": "integer"}},
                            "section": {"type": "null"},
                            "together": {"type": "null"},
                        },
                    },
                    {"required": ["count"], "properties": {"count": {"type": "integer"}}},
                ]
            },
        ]
    },
    "NewReservation.seats": {"uniqueItems": True},
    "NewSection": {
        "anyOf": [
            {"required": ["seats"], "properties": {"seats": {"type": "integer"}}},
            {
                "required": ["rows", "seats_per_row"],
                "properties": {
                    "rows": {"type": "integer"},
                    "seats_per_row": {"type": "integer"},
                },
            },
        ]
    },
    "SeatMap": {
        "anyOf": [
            {"required": ["seats"], "properties": {"seats": _list_of("Seat")}},
            {"required": ["states"], "properties": {"states": {"type": "string"}}},
        ]
    },
    "NewShow": {
        "oneOf": [
            {"required": ["price"], "properties": {"price": {"type": "integer"}}},
            {"required": ["sections"], "properties": {"sections": _list_of("NewSection")}},
        ]
    },
}
"""Constraints of a type beyond the types of its fields, as JSON Schema."""
