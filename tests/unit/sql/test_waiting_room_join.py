"""``waiting_room_join``: a place in the line, with the next number or the present one."""

import secrets
from uuid import UUID, uuid4, uuid5

import asyncpg

from tests.unit.sql.sale import Sale


async def join(sale: Sale, *users: UUID, room_id: int | None = None) -> list[asyncpg.Record]:
    """Joins users in one batch, by id."""
    return await sale.call(
        "waiting_room_join",
        room_id=room_id or sale.room_id,
        users=list(users),
        keys=[None for _ in users],
        places=[uuid4() for _ in users],
    )


async def join_by_key(
    sale: Sale, *keys: bytes, places: list[UUID] | None = None
) -> list[asyncpg.Record]:
    """Joins the users of keys in one batch, by the hashes of the keys."""
    return await sale.call(
        "waiting_room_join",
        room_id=sale.room_id,
        users=[None for _ in keys],
        keys=list(keys),
        places=places or [uuid4() for _ in keys],
    )


async def add_key(sale: Sale, user: UUID, *, ends_in: float | None = None) -> bytes:
    """Inserts a user's key; returns its hash."""
    key_hash = secrets.token_bytes(32)
    await sale.execute(
        """INSERT INTO user_key (key_hash, user_id, created_at, expires_at)
        VALUES ($1, $2, now(), clock_timestamp() + make_interval(secs => $3))""",
        key_hash,
        user,
        ends_in,
    )
    return key_hash


async def revoke(sale: Sale, key_hash: bytes) -> None:
    """Revokes a key."""
    await sale.execute(
        "UPDATE user_key SET revoked_at = now(), revocation = 1 WHERE key_hash = $1", key_hash
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


async def test_key_gives_its_user_a_place(sale: Sale) -> None:
    """Each user is found by the hash of a key, in batch order; a key without an end has none."""
    users = [uuid4(), uuid4()]
    keys = [await add_key(sale, users[0]), await add_key(sale, users[1], ends_in=600)]
    rows = await join_by_key(sale, *keys)
    assert [(row["outcome"], row["number"]) for row in rows] == [("new", 1), ("new", 2)]
    assert [row["user_id"] for row in rows] == users
    assert rows[0]["key_lasts"] is None
    assert 590 < rows[1]["key_lasts"] <= 600
    assert await sale.column("SELECT user_id FROM place ORDER BY number") == users


async def test_invalid_keys_get_no_number(sale: Sale) -> None:
    """Unknown, revoked and expired keys are refused; the valid ones between them get numbers."""
    users = [uuid4() for _ in range(4)]
    revoked, first, expired, second = [
        await add_key(sale, user, ends_in=ends_in)
        for user, ends_in in zip(users, (None, None, -1, 600), strict=True)
    ]
    await revoke(sale, revoked)
    rows = await join_by_key(sale, revoked, first, bytes(32), expired, second)
    assert [row["outcome"] for row in rows] == [
        "credential_invalid", "new", "credential_invalid", "credential_invalid", "new",
    ]  # fmt: skip
    assert await sale.column("SELECT user_id FROM place ORDER BY number") == [users[1], users[3]]
    assert await sale.fetchval("SELECT issued FROM waiting_room") == 2


async def test_key_of_a_user_with_a_place_returns_it(sale: Sale) -> None:
    """A live place is returned, unless the key is revoked."""
    place = await sale.place("waiting")
    key = await add_key(sale, place.user_id)
    (row,) = await join_by_key(sale, key)
    assert (row["outcome"], row["place_id"]) == ("live", place.place_id)
    await revoke(sale, key)
    (row,) = await join_by_key(sale, key)
    assert row["outcome"] == "credential_invalid"


async def test_two_keys_of_a_user_in_a_batch_give_one_place(sale: Sale) -> None:
    """The second valid key is run again; a revoked one of the same user takes nothing away."""
    user = uuid4()
    keys = [await add_key(sale, user) for _ in range(3)]
    await revoke(sale, keys[0])
    rows = await join_by_key(sale, *keys)
    assert [row["outcome"] for row in rows] == ["credential_invalid", "new", "again"]
    assert await sale.fetchval("SELECT issued FROM waiting_room") == 1


async def test_repeated_item_is_new_again_after_its_key_was_revoked(sale: Sale) -> None:
    """The batch was committed and its answer lost: the same place, whatever happened since."""
    key, places = await add_key(sale, uuid4()), [uuid4()]
    (first,) = await join_by_key(sale, key, places=places)
    await revoke(sale, key)
    (again,) = await join_by_key(sale, key, places=places)
    assert (first["outcome"], again["outcome"]) == ("new", "new")
    assert again["number"] == first["number"]


async def test_key_of_a_guest_is_refused_by_a_concert_without_guests(sale: Sale) -> None:
    """The rule holds for users found by key; an invalid key is refused for that instead."""
    await sale.execute("UPDATE concert SET guests = false")
    keys = [await add_key(sale, uuid4()), await add_key(sale, uuid5(sale.concert_id, "subject"))]
    rows = await join_by_key(sale, *keys, bytes(32))
    assert [row["outcome"] for row in rows] == ["sign_in_required", "new", "credential_invalid"]


async def test_key_of_an_erased_user_is_refused(sale: Sale) -> None:
    """Even if the key itself were still active."""
    user = uuid4()
    key = await add_key(sale, user)
    await sale.execute("INSERT INTO erasure VALUES ($1, now(), NULL, 1)", user)
    (row,) = await join_by_key(sale, key)
    assert row["outcome"] == "credential_invalid"
