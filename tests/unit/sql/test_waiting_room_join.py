"""``waiting_room_join``: a place in the line, with the next number or the present one."""

from uuid import UUID, uuid4, uuid5

import asyncpg

from tests.unit.sql.sale import Sale


async def join(sale: Sale, *users: UUID, room_id: int | None = None) -> list[asyncpg.Record]:
    """Joins users in one batch."""
    return await sale.call(
        "waiting_room_join",
        room_id=room_id or sale.room_id,
        users=list(users),
        places=[uuid4() for _ in users],
    )


async def test_users_get_gapless_numbers_in_batch_order(sale: Sale) -> None:
    """Each new user is waiting with the next number."""
    first, second = await join(sale, uuid4(), uuid4())
    assert [first["outcome"], second["outcome"]] == ["new", "new"]
    assert [first["number"], second["number"]] == [1, 2]
    assert [first["state"], second["state"]] == ["waiting", "waiting"]
    assert await sale.fetchval("SELECT issued FROM waiting_room") == 2


async def test_user_with_a_place_keeps_it(sale: Sale) -> None:
    """A live place is returned; no number is issued."""
    place = await sale.place("waiting")
    (again,) = await join(sale, place.user_id)
    assert (again["outcome"], again["number"], again["place_id"]) == ("live", 1, place.place_id)
    assert await sale.fetchval("SELECT issued FROM waiting_room") == 1


async def test_user_with_a_finished_place_gets_a_new_one(sale: Sale) -> None:
    """A place that was left does not come back."""
    place = await sale.place("left")
    (again,) = await join(sale, place.user_id)
    assert (again["outcome"], again["number"]) == ("new", 2)


async def test_overdue_place_is_finished_first(sale: Sale) -> None:
    """A place whose claim window has passed expires, and the user gets the next number."""
    place = await sale.place("overdue")
    (again,) = await join(sale, place.user_id)
    assert (again["outcome"], again["number"]) == ("new", 2)
    assert await sale.column("SELECT reason::text FROM place ORDER BY number") == ["expired", None]


async def test_user_twice_in_a_batch_is_run_again(sale: Sale) -> None:
    """The second item waits for the next batch; one number is issued."""
    user = uuid4()
    rows = await join(sale, user, user)
    assert [row["outcome"] for row in rows] == ["new", "again"]
    assert await sale.fetchval("SELECT issued FROM waiting_room") == 1


async def test_concert_without_guests_refuses_guests(sale: Sale) -> None:
    """A guest's id is random; that of an account at the issuer is a digest. Places stay."""
    place = await sale.place("waiting")
    await sale.execute("UPDATE concert SET guests = false")
    rows = await join(sale, uuid4(), uuid5(sale.concert_id, "subject"), place.user_id)
    assert [row["outcome"] for row in rows] == ["sign_in_required", "new", "live"]
    assert await sale.fetchval("SELECT issued FROM waiting_room") == 2


async def test_closed_room_refuses_new_users(sale: Sale) -> None:
    """After ``closes_at`` a new user is refused; a user with a place keeps it."""
    place = await sale.place("waiting")
    await sale.execute("UPDATE waiting_room SET closes_at = now() - '1 second'::interval")
    rows = await join(sale, uuid4(), place.user_id)
    assert [row["outcome"] for row in rows] == ["room_closed", "live"]


async def test_erased_user_is_refused(sale: Sale) -> None:
    """An erased user gets no place."""
    user = uuid4()
    await sale.execute("INSERT INTO erasure VALUES ($1, now(), NULL, 1)", user)
    (row,) = await join(sale, user)
    assert row["outcome"] == "credential_invalid"
    assert await sale.fetchval("SELECT count(*) FROM place") == 0


async def test_unknown_room_is_not_found(sale: Sale) -> None:
    """Each item has the outcome."""
    rows = await join(sale, uuid4(), uuid4(), room_id=2**31 - 1)
    assert [row["outcome"] for row in rows] == ["not_found", "not_found"]
