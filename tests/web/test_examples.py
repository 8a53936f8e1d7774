"""The examples of the API agree with each other: a client that adds them up gets equal sums."""

import copy
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from frontrow.payments.ticket_code import verify
from frontrow.payments.ticket_keys import read_keys
from frontrow.web.openapi import examples
from frontrow.web.routes import document

Json = dict[str, Any]


def objects_in(value: object, at: str) -> Iterator[tuple[str, Json]]:
    """Yields each object in an example, with its path."""
    if isinstance(value, dict):
        yield at, value
        for name, part in value.items():
            yield from objects_in(part, f"{at}/{name}")
    elif isinstance(value, list):
        for part in value:
            yield from objects_in(part, at)


def operations() -> Iterator[tuple[str, Json]]:
    """Yields each operation by its id."""
    for methods in document()["paths"].values():
        for operation in methods.values():
            yield operation["operationId"], operation


def every_example() -> Iterator[tuple[str, object]]:
    """Yields each example of the document: of requests, answers and types."""
    for name, operation in operations():
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for place, described in bodies.items():
            for content in described.get("content", {}).values():
                yield f"{name} {place}", content.get("example")
                for state, named in content.get("examples", {}).items():
                    yield f"{name} {place} {state}", named.get("value")
    for name, schema in document()["components"]["schemas"].items():
        for example in schema["examples"]:
            yield name, example
    for name, example in document()["components"]["examples"].items():
        yield name, example["value"]


OBJECTS = [found for at, example in every_example() for found in objects_in(example, at)]


def numbers(seats: list[Any]) -> list[int]:
    """Returns the numbers of seats, which may be objects."""
    return [seat["number"] if isinstance(seat, dict) else seat for seat in seats]


def check_purchase(one: Json) -> None:
    """Checks a hold or a payment: its seats, tickets, amount, refund."""
    if isinstance(one.get("seats"), list) and "amount" in one:
        assert one["amount"] == examples.PRICE * len(one["seats"])
        for seat in one["seats"]:
            assert isinstance(seat, int) or seat["price"] == examples.PRICE
    if "tickets" in one and "payment_id" in one:
        assert one["amount"] == examples.PRICE * len(one["tickets"])
        assert numbers(one["tickets"]) == one.get("seats", numbers(one["tickets"]))
    if "refund" in one:
        assert (one["refund"] is not None) == (one["state"] == "refunded")
        assert all((t["code"] is None) == (one["state"] == "refunded") for t in one["tickets"])
        if one["refund"] is not None:
            assert one["refund"]["amount"] == one["amount"]
            assert one["refund"]["balance"] == one["balance"] + one["amount"]
    if "held_until" in one and "payment_id" in one:
        unpaid = {"held", "released", "expired"}
        assert (one["payment_id"] is None) == (one["state"] in unpaid)


def check_account(one: Json) -> None:
    """Checks that a user's data follow from the transfers and the purchases."""
    transfers = sorted(one.get("transfers", []), key=lambda each: str(each["created_at"]))
    balance = 0
    for transfer in transfers:
        balance += transfer["amount"] * (-1 if transfer["kind"] == "payment" else 1)
        assert transfer["balance"] == balance
    if transfers and "balance" in one:
        assert one["balance"] == balance
    if "payments" in one and "balance" in one:
        (payment,) = one["payments"]
        (reservation,) = one["reservations"]
        assert one["balance"] == payment["balance"]
        assert payment["reservation_id"] == reservation["reservation_id"]
        assert payment["state"] == reservation["state"]
        assert numbers(one["tickets"]) == payment["seats"] == numbers(reservation["seats"])
    if "shortfall" in one:
        assert one["shortfall"] == one["amount"] - one["balance"]


def check_totals(one: Json) -> None:
    """Checks that seats, sales and the line add up."""
    if {"total", "available", "held", "sold"} <= one.keys():
        assert one["total"] == one["available"] + one["held"] + one["sold"] == examples.SEATS_TOTAL
    if "revenue" in one:
        assert one["revenue"] == examples.PRICE * one["seats"]["sold"]
    if "seats_freed" in one:
        assert one["payments_refunded"] <= one["payments_total"]
        assert one["amount_refunded"] == examples.PRICE * one["seats_freed"]
        assert (one["finished_at"] is None) == (one["state"] == "cancelling")
    if "issued" in one:
        assert one["waiting"] == one["issued"] - one["serving"]
        assert one["admitted"] <= one["serving"]
    if {"called", "claimed", "finished"} <= one.keys():
        assert one["claimed"] <= one["called"] <= one["cap"]
    if "sections" in one and "seats_available" in one:
        assert one["sections"][-1]["last_number"] == examples.SEATS_TOTAL
    if "seats_total" in one:
        assert one["seats_total"] == examples.SEATS_TOTAL >= one["seats_available"]


def check_all(one: Json) -> None:
    """Checks all rules."""
    for rule in LAWS:
        rule(one)


LAWS = (check_purchase, check_account, check_totals)


@pytest.mark.parametrize("rule", LAWS, ids=lambda rule: rule.__name__)
def test_examples_keep_the_rules(rule: Any) -> None:
    """Each object of each example keeps each rule."""
    for at, one in OBJECTS:
        try:
            rule(one)
        except (AssertionError, KeyError) as error:
            raise AssertionError(f"{at}: {one}") from error


def test_broken_example_fails() -> None:
    """The control: a missing seat, ticket or transfer, or another sum, fails."""
    whole = {at: one for at, one in OBJECTS if at in ("Me", "Transfers", "Payment", "Reservation")}
    for at, part in (
        ("Reservation", "seats"),
        ("Payment", "tickets"),
        ("Me", "tickets"),
        ("Transfers", "transfers"),
    ):
        damaged = copy.deepcopy(whole[at])
        damaged[part].pop()
        with pytest.raises((AssertionError, ValueError)):
            check_all(damaged)
    with pytest.raises(AssertionError):
        check_totals({"total": 1550, "available": 1087, "held": 36, "sold": 428})


def test_object_is_the_same_in_every_example() -> None:
    """A payment or reservation has one amount and one set of seats, a ticket one seat."""
    found: dict[tuple[str, str], set[str]] = {}
    for _, one in OBJECTS:
        for key, says in (
            ("payment_id", ("amount",)),
            ("reservation_id", ("amount",)),
            ("ticket_id", ("number",)),
        ):
            if one.get(key) and set(says) <= one.keys():
                found.setdefault((key, one[key]), set()).add(str([one[say] for say in says]))
    assert len(found) == 4
    assert all(len(different) == 1 for different in found.values()), found


def test_ticket_codes_are_genuine() -> None:
    """Codes are signed with the key of the example, for their ticket and seat."""
    (keys,) = document()["components"]["schemas"]["TicketKeys"]["examples"]
    known = read_keys(str(keys).replace("'", '"'))
    seen = set()
    for at, one in OBJECTS:
        code = one.get("code")
        if "ticket_id" in one and "status" not in one and code is not None:
            ticket = verify(code, known)
            assert (str(ticket.ticket_id), ticket.number) == (one["ticket_id"], one["number"]), at
            assert str(ticket.show_id) == examples.SHOW
            seen.add(code)
    assert len(seen) == len(examples.SEATS)


def test_answers_repeat_the_values_of_requests() -> None:
    """A field in a request and its first success has the same value in both."""
    compared = 0
    for name, operation in operations():
        body = operation.get("requestBody")
        answer = next(iter(operation["responses"].values()))
        if body is None or "application/json" not in answer.get("content", {}):
            continue
        asked = body["content"]["application/json"]["example"]
        content = answer["content"]["application/json"]
        named = content.get("examples", {})
        got = next(iter(named.values()))["value"] if named else content["example"]
        for field in asked.keys() & got.keys():
            left, right = asked[field], got[field]
            if field == "shows":
                continue  # a requested value and its result
            if field == "seats":
                left, right = numbers(left), numbers(right)
            elif field.endswith("_at"):
                left, right = datetime.fromisoformat(left), datetime.fromisoformat(right)
            assert left == right, (name, field)
            compared += 1
    assert compared >= 8
