"""The headers, the credential and the parameters of a request, as calls read them."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from blacksheep import Request

from frontrow.errors import CredentialInvalid, CredentialMissing, InvalidRequest
from frontrow.web.access.credentials import bearer
from frontrow.web.calls import Call
from frontrow.web.requests import (
    has_no_body,
    headers_of,
    is_repeated,
    may_have_parts,
    read_idempotency_key,
    reader,
)
from frontrow.web.routes import CALLS

BY_NAME = {call.name: call for call in CALLS}


def request(*headers: tuple[bytes, bytes]) -> Request:
    """Returns a request as the server gives it to the application."""
    made = Request.incoming("GET", b"/", b"", list(headers))
    scope: Any = {"headers": list(headers), "query_string": b""}
    made.scope = scope
    return made


def test_first_of_repeated_headers_counts() -> None:
    """The dictionary is made once for a request."""
    made = request((b"a", b"1"), (b"b", b"2"), (b"a", b"3"))
    assert headers_of(made) == {b"a": b"1", b"b": b"2"}
    assert headers_of(made) is headers_of(made)
    assert [is_repeated(made, name) for name in (b"a", b"b", b"c")] == [True, False, False]


def test_credential_is_found_in_any_case_of_its_scheme() -> None:
    """And without the spaces around it."""
    for value in (b"Bearer x", b"bearer x", b"BEARER  x "):
        assert bearer(request((b"authorization", value))) == b"x"


def test_credential_is_missing_or_invalid() -> None:
    """None, another scheme, two, too long."""
    with pytest.raises(CredentialMissing):
        bearer(request())
    with pytest.raises(CredentialMissing):
        bearer(request((b"authorization", b"Basic eDp5")))
    for invalid in (
        request((b"authorization", b"Bearer x"), (b"authorization", b"Bearer x")),
        request((b"authorization", b"Bearer " + b"x" * 8192)),
    ):
        with pytest.raises(CredentialInvalid):
            bearer(invalid)


def test_repeated_idempotency_key_is_refused() -> None:
    """Also the same one."""
    assert read_idempotency_key(request()) is None
    assert read_idempotency_key(request((b"idempotency-key", b"k"))) == "k"
    with pytest.raises(InvalidRequest):
        read_idempotency_key(request((b"idempotency-key", b"k"), (b"idempotency-key", b"k")))


def test_body_is_declared_by_either_header() -> None:
    """A length of 0 declares that there is none."""
    assert has_no_body(request())
    assert has_no_body(request((b"content-length", b"0")))
    assert not has_no_body(request((b"content-length", b"1")))
    assert not has_no_body(request((b"transfer-encoding", b"chunked")))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("queue_status", False), ("seats", True), ("hold", True), ("leave_queue", True)],
)
def test_call_may_have_parts(name: str, *, expected: bool) -> None:
    """A path without parameters, without a body: there is nothing to read."""
    assert may_have_parts(BY_NAME[name]) is expected


async def test_remembered_parameter_is_read_as_the_first_time() -> None:
    """And an invalid one is refused each time."""
    call: Call = BY_NAME["queue_document"]
    read, concert = reader(call, 1024), uuid4()
    for value in (str(concert), str(concert), str(concert).upper()):
        made = request()
        made.route_values = {"concert_id": value}
        assert (await read(made)).params == {"concert_id": UUID(value)}
    for _ in range(2):
        made = request()
        made.route_values = {"concert_id": "7"}
        with pytest.raises(InvalidRequest):
            await read(made)
