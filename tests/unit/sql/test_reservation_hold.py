"""``reservation_hold``: holds seats for an admitted user, all or nothing."""

from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
import pytest

from tests.unit.sql.sale import PRICE, SEATS, Place, Sale


async def hold(sale: Sale, place: Place, seats: list[int], **changes: Any) -> asyncpg.Record:
    """Holds seats of the sale's show for one place."""
    given: dict[str, Any] = {
        **place.key,
        "users": [place.user_id],
        "concerts": [sale.concert_id],
        "reservations": [uuid4()],
        "hashes": [1],
        "shows": [sale.show_id],
        "counts": [len(seats)],
        "lasts": None,
        "seats": seats,
        "sections": None,
        "networks": None,
        "address_seats": None,
        "unpaid_holds": 20,
        "unpaid_seconds": 600,
    }
    return await sale.call_one("reservation_hold", **given | changes)


async def test_available_seats_are_held(sale: Sale) -> None:
    """For the concert's hold time, at the sum of their prices; the session lasts as long."""
    place = await sale.place("admitted")
    row = await hold(sale, place, [3, 4])
    assert (row["outcome"], row["amount"], row["prices"]) == ("held", 2 * PRICE, [PRICE, PRICE])
    assert (row["held_until"] - row["created_at"]).total_seconds() == 300
    assert await sale.taken() == [3, 4]
    assert await sale.fetchval("SELECT expires_at >= session_until FROM place")


async def test_same_id_and_request_is_replayed(sale: Sale) -> None:
    """The first answer again; one reservation."""
    place, reservation = await sale.place("claimed"), uuid4()
    first = await hold(sale, place, [3], reservations=[reservation])
    again = await hold(sale, place, [3], reservations=[reservation])
    assert (again["outcome"], again["held_until"]) == ("replayed", first["held_until"])
    assert await sale.fetchval("SELECT count(*) FROM reservation") == 1


async def test_same_id_with_another_request_is_refused(sale: Sale) -> None:
    """The first hold stays."""
    place, reservation = await sale.place("claimed"), uuid4()
    await hold(sale, place, [3], reservations=[reservation])
    row = await hold(sale, place, [4], reservations=[reservation], hashes=[2])
    assert row["outcome"] == "idempotency_key_reused"
    assert await sale.taken() == [3]


async def test_held_seat_is_taken(sale: Sale) -> None:
    """All or nothing: none of the requested seats is held."""
    await sale.hold(await sale.place("claimed"), [4])
    row = await hold(sale, await sale.place("claimed"), [3, 4])
    assert (row["outcome"], row["taken"]) == ("seat_taken", [4])
    assert await sale.taken() == [4]


async def test_sold_seat_is_taken(sale: Sale) -> None:
    """A sold seat is never available."""
    await sale.purchase(uuid4(), [4])
    row = await hold(sale, await sale.place("claimed"), [4])
    assert (row["outcome"], row["taken"]) == ("seat_taken", [4])


async def test_own_held_seat_is_taken_too(sale: Sale) -> None:
    """A seat held by the user is not available to the user."""
    place = await sale.place("claimed")
    await sale.hold(place, [4])
    assert (await hold(sale, place, [4]))["outcome"] == "seat_taken"


async def test_seat_of_an_expired_hold_is_available(sale: Sale) -> None:
    """Without upkeep: the condition on the time decides."""
    await sale.hold(await sale.place("claimed"), [4], seconds=-1)
    row = await hold(sale, await sale.place("claimed"), [4])
    assert row["outcome"] == "held"
    assert await sale.taken() == [4]


async def test_limit_counts_held_and_owned_seats(sale: Sale) -> None:
    """Two held and one owned: a second pair would exceed the limit of four."""
    place = await sale.place("claimed")
    await sale.hold(place, [1, 2])
    await sale.purchase(place.user_id, [3])
    row = await hold(sale, place, [5, 6])
    assert (row["outcome"], row["seat_limit"]) == ("seat_limit", 4)
    assert (await hold(sale, place, [5]))["outcome"] == "held"


async def test_number_that_the_show_lacks_is_not_found(sale: Sale) -> None:
    """Nothing is held."""
    row = await hold(sale, await sale.place("claimed"), [SEATS, SEATS + 1])
    assert row["outcome"] == "not_found"
    assert await sale.taken() == []


async def test_unknown_show_is_not_found(sale: Sale) -> None:
    """A random show id."""
    row = await hold(sale, await sale.place("claimed"), [1], shows=[uuid4()])
    assert row["outcome"] == "not_found"


async def test_show_of_another_concert_is_not_allowed(sale: Sale) -> None:
    """A token serves its own concert only."""
    concert, show = uuid4(), uuid4()
    await sale.add_concert(concert)
    await sale.add_show(show, concert)
    row = await hold(sale, await sale.place("claimed"), [1], shows=[show])
    assert row["outcome"] == "not_allowed"


async def test_guest_of_a_concert_without_guests_is_refused(sale: Sale) -> None:
    """Also with a place from before; a user of the issuer may hold."""
    await sale.execute("UPDATE concert SET guests = false")
    row = await hold(sale, await sale.place("claimed"), [1])
    assert row["outcome"] == "sign_in_required"
    member = await sale.place("claimed", user_id=uuid5(sale.concert_id, "subject"))
    assert (await hold(sale, member, [1]))["outcome"] == "held"


async def test_show_past_its_sale_is_closed(sale: Sale) -> None:
    """``sales_end_at`` has passed."""
    await sale.execute("UPDATE show SET sales_end_at = now() - '1 second'::interval")
    assert (await hold(sale, await sale.place("claimed"), [1]))["outcome"] == "show_closed"


async def test_released_unpaid_holds_are_limited(sale: Sale) -> None:
    """After the last allowed unpaid hold the user has to wait."""
    place = await sale.place("claimed")
    await sale.hold(place, [1], state="released")
    row = await hold(sale, place, [2], unpaid_holds=1)
    assert row["outcome"] == "rate_limited"
    assert 0 < row["retry_after_seconds"] <= 600
    assert (await hold(sale, place, [2], unpaid_holds=2))["outcome"] == "held"


@pytest.mark.parametrize(("state", "seconds"), [("released", 100), ("held", -10)])
async def test_recently_released_seat_is_refused(sale: Sale, state: str, seconds: float) -> None:
    """Whether the user released it or let it expire; other seats and other users are unaffected."""
    place = await sale.place("claimed")
    await sale.hold(place, [1, 2], state=state, seconds=seconds)
    row = await hold(sale, place, [2, 3])
    assert (row["outcome"], row["taken"]) == ("recently_released", [2])
    assert 280 < row["retry_after_seconds"] <= 300
    assert (await hold(sale, place, [3]))["outcome"] == "held"
    assert (await hold(sale, await sale.place("claimed"), [2]))["outcome"] == "held"


async def test_unpaid_seats_of_a_network_are_limited(sale: Sale) -> None:
    """Over its users; an item that the batch would take beyond the limit is run again."""
    few: dict[str, Any] = {"address_seats": [2, None, None, None]}
    one, other, third = [await sale.place("claimed") for _ in range(3)]
    batch = _batch(sale, [(one, 1), (other, 2), (third, 3)])
    rows = await sale.call("reservation_hold", **batch | few | {"networks": [7, 7, 7]})
    assert [row["outcome"] for row in rows] == ["held", "held", "again"]
    row = await hold(sale, third, [3], networks=[7], **few)
    assert (row["outcome"], row["by_address"]) == ("rate_limited", True)
    assert 280 < row["retry_after_seconds"] <= 300
    assert (await hold(sale, third, [3], networks=[8], **few))["outcome"] == "held"


@pytest.mark.parametrize(
    ("state", "outcome", "reason"),
    [
        ("waiting", "not_admitted", None),
        ("overdue", "token_finished", "expired"),
        ("paid", "token_finished", "paid"),
        ("left", "token_finished", "left"),
    ],
)
async def test_place_that_may_not_act_is_refused(
    sale: Sale, state: str, outcome: str, reason: str | None
) -> None:
    """Nothing is held."""
    row = await hold(sale, await sale.place(state), [1])
    assert (row["outcome"], row["reason"]) == (outcome, reason)
    assert await sale.taken() == []


async def test_place_of_another_token_is_invalid(sale: Sale) -> None:
    """Nothing is held."""
    row = await hold(sale, await sale.place("claimed"), [1], places=[uuid4()])
    assert row["outcome"] == "credential_invalid"
    assert await sale.taken() == []


async def test_later_item_for_the_same_seat_is_run_again(sale: Sale) -> None:
    """In one batch the earlier item gets the seat; the later one is not refused yet."""
    one, other = await sale.place("claimed"), await sale.place("claimed")
    rows = await sale.call("reservation_hold", **_batch(sale, [(one, 1), (other, 1)]))
    assert [row["outcome"] for row in rows] == ["held", "again"]


async def test_later_item_of_the_same_user_is_run_again(sale: Sale) -> None:
    """The limit per user is judged by one item at a time."""
    place = await sale.place("claimed")
    rows = await sale.call("reservation_hold", **_batch(sale, [(place, 1), (place, 2)]))
    assert [row["outcome"] for row in rows] == ["held", "again"]


def _batch(sale: Sale, wanted: list[tuple[Place, int]]) -> dict[str, Any]:
    """Returns the arguments of a batch: one seat for each place."""
    places = [place for place, _ in wanted]
    ids: list[UUID] = [uuid4() for _ in wanted]
    return {
        "rooms": [place.room_id for place in places],
        "numbers": [place.number for place in places],
        "places": [place.place_id for place in places],
        "users": [place.user_id for place in places],
        "concerts": [sale.concert_id] * len(wanted),
        "reservations": ids,
        "hashes": [1] * len(wanted),
        "shows": [sale.show_id] * len(wanted),
        "counts": [1] * len(wanted),
        "lasts": None,
        "seats": [seat for _, seat in wanted],
        "sections": None,
        "networks": None,
        "address_seats": None,
        "unpaid_holds": 20,
        "unpaid_seconds": 600,
    }
