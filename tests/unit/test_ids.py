"""Ids: the same call makes the same thing, another call another one."""

import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122, UUID, uuid4, uuid5

from hypothesis import given
from hypothesis import strategies as st

from frontrow.ids import PlaceRef, new_id, place_arrays, request_hash, write_id

KEYS = st.text(min_size=1, max_size=255)
OPERATIONS = st.sampled_from(["reservation", "charge", "payment", "concert", "shows"])


@given(st.uuids(), OPERATIONS, KEYS)
def test_write_id_is_stable(owner: UUID, operation: str, key: str) -> None:
    """Owner, operation and key give one id, a version 5 UUID."""
    made = write_id(owner, operation, key)
    assert made == write_id(owner, operation, key)
    assert made == uuid5(owner, f"{operation}:{key}")
    assert made.version == 5


@given(
    st.lists(st.tuples(st.uuids(), OPERATIONS, KEYS), min_size=2, max_size=2, unique=True),
)
def test_write_id_is_scoped(calls: list[tuple[UUID, str, str]]) -> None:
    """Another owner, operation or key gives another id."""
    assert write_id(*calls[0]) != write_id(*calls[1])


def test_write_id_without_a_key() -> None:
    """Without a key every call is its own."""
    owner = uuid4()
    made = {write_id(owner, "charge", None) for _ in range(100)}
    assert len(made) == 100
    assert {one.version for one in made} == {7}


def test_new_ids_are_in_order_of_time() -> None:
    """A new id names its millisecond first, then 74 random bits."""
    before = time.time_ns() // 1_000_000
    made = [new_id() for _ in range(100)]
    after = time.time_ns() // 1_000_000
    assert all(before <= one.int >> 80 <= after for one in made)
    assert all(one.version == 7 and one.variant == RFC_4122 for one in made)
    assert len({one.int & (2**62 - 1) for one in made}) == 100


def test_write_id_of_known_calls() -> None:
    """The ids of stored things may never change from one release to the next."""
    owner = UUID("11111111-1111-4111-8111-111111111111")
    assert write_id(owner, "charge", "k") == UUID("8ac79371-00be-5ea5-9a99-e25479fad028")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.uuids(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_request_hash(request: object) -> None:
    """The same request has the same hash, which a bigint column holds."""
    digest = request_hash(request)
    assert digest == request_hash(request)
    assert -(2**63) <= digest < 2**63


def test_request_hash_tells_requests_apart() -> None:
    """Seats, show, order of nothing: what differs in a request differs in its hash."""
    show = uuid4()
    requests = [
        (show, [7, 8]),
        (show, [7]),
        (show, [7, 9]),
        (show, [78]),
        (uuid4(), [7, 8]),
        (str(show), ["7", "8"]),
        (show, [7, 8], None),
    ]
    assert len({request_hash(request) for request in requests}) == len(requests)


def test_request_hash_forgets_the_order_of_keys() -> None:
    """A dictionary is the same whichever way it was filled."""
    assert request_hash({"a": 1, "b": {"c": 2, "d": 3}}) == request_hash(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )


def test_request_hash_of_known_requests() -> None:
    """Hashes are stored, so they may never change from one release to the next."""
    assert request_hash((UUID(int=1), [7, 8])) == 29_027_340_687_543_354


def test_request_hash_of_one_moment_in_two_zones() -> None:
    """The hash is of what was written, so the same moment in another offset is another request."""
    utc = datetime(2027, 1, 2, 10, tzinfo=UTC)
    seoul = utc.astimezone(timezone(timedelta(hours=9)))
    assert request_hash(utc) != request_hash(seoul)


def test_place_arrays() -> None:
    """Places become one array for each column, in their order."""
    now = datetime.now(UTC)
    places = [PlaceRef(uuid4(), uuid4(), room, room + 1, uuid4(), now) for room in (3, 1, 2)]
    assert place_arrays(places) == {
        "room_ids": [3, 1, 2],
        "numbers": [4, 2, 3],
        "place_ids": [place.place_id for place in places],
    }
    assert place_arrays([]) == {"room_ids": [], "numbers": [], "place_ids": []}
