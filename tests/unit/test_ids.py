"""Ids: the same call gives the same id, another call another one."""

import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122, UUID, uuid4, uuid5

from hypothesis import given
from hypothesis import strategies as st

from frontrow.ids import new_id, request_hash, write_id

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


def test_write_id_without_a_key_is_new() -> None:
    """Without a key every call is its own."""
    owner = uuid4()
    made = {write_id(owner, "charge", None) for _ in range(100)}
    assert len(made) == 100
    assert {one.version for one in made} == {7}


def test_new_ids_are_ordered_by_time() -> None:
    """A new id starts with its millisecond, followed by 74 random bits."""
    before = time.time_ns() // 1_000_000
    made = [new_id() for _ in range(100)]
    after = time.time_ns() // 1_000_000
    assert all(before <= one.int >> 80 <= after for one in made)
    assert all(one.version == 7 and one.variant == RFC_4122 for one in made)
    assert len({one.int & (2**62 - 1) for one in made}) == 100


def test_write_id_of_known_calls() -> None:
    """Stored ids must stay the same in every release."""
    owner = UUID("11111111-1111-4111-8111-111111111111")
    assert write_id(owner, "charge", "k") == UUID("8ac79371-00be-5ea5-9a99-e25479fad028")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.uuids(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_same_request_has_the_same_hash(request: object) -> None:
    """The same request has the same hash, which a bigint column holds."""
    digest = request_hash(request)
    assert digest == request_hash(request)
    assert -(2**63) <= digest < 2**63


def test_different_requests_have_different_hashes() -> None:
    """Requests that differ in a value have different hashes."""
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


def test_request_hash_ignores_the_order_of_keys() -> None:
    """Dictionaries with the same content are equal."""
    assert request_hash({"a": 1, "b": {"c": 2, "d": 3}}) == request_hash(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )


def test_request_hash_of_known_requests() -> None:
    """Stored hashes must stay the same in every release."""
    assert request_hash((UUID(int=1), [7, 8])) == 29_027_340_687_543_354


def test_request_hash_differs_between_offsets() -> None:
    """The hash covers the text, so the same moment with another offset is another request."""
    utc = datetime(2027, 1, 2, 10, tzinfo=UTC)
    seoul = utc.astimezone(timezone(timedelta(hours=9)))
    assert request_hash(utc) != request_hash(seoul)
