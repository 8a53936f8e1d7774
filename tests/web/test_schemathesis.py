"""Schemathesis sends the running server requests that the document allows, and others."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)

from frontrow.web.routes import document
from testkit.database import Database
from testkit.desk import OPEN, Desk, open_desk
from testkit.serving import OPERATOR_KEY

EXAMPLES = 12
LONG_TEXT = 1_000
LASTING: dict[str, Any] = {
    "hold_seconds": 3600,
    "waiting_room": {"policy": OPEN, "session_seconds": 86_400},
}

# Some refusals can't be expressed in a schema: an unknown time zone, a key that was used
# for another request.
_checks = ChecksConfig(positive_data_acceptance=PositiveDataAcceptanceConfig(enabled=False))
_config = SchemathesisConfig(
    seed=1,
    projects=ProjectsConfig(
        default=ProjectConfig(
            checks=_checks,
            generation=GenerationConfig(
                max_examples=EXAMPLES, deterministic=True, with_security_parameters=False
            ),
        )
    ),
)


def without_long_patterns(part: Any) -> Any:
    """Returns a part of the document in which the pattern of a long text is left out.

    A text of thousands of characters that matches a pattern takes minutes to invent.
    """
    if isinstance(part, list):
        return [without_long_patterns(item) for item in part]
    if not isinstance(part, dict):
        return part
    is_long = isinstance(part.get("maxLength"), int) and part["maxLength"] > LONG_TEXT
    return {
        name: without_long_patterns(value)
        for name, value in part.items()
        if not (is_long and name == "pattern")
    }


# A copy: real ids are written into it, and other tests read the document too.
schema = schemathesis.openapi.from_dict(without_long_patterns(document()), config=_config)


@dataclass(frozen=True)
class World:
    """A real object for each parameter of a path, and a credential for each scheme."""

    address: str
    ids: dict[str, str]
    operators_ids: dict[str, str]
    credentials: dict[str, str]
    leaver: str
    erased_key: str
    finished: str

    def credential(self, case: Any) -> str | None:
        """Returns the credential of a call; leaving and erasure have credentials of their own.

        The stream of a live place has no end, so it is requested with a finished one.
        """
        security = case.operation.definition.raw["security"]
        if not security:
            return None
        match case.operation.definition.raw["operationId"]:
            case "leave_queue":
                return self.leaver
            case "erase_user":
                return self.erased_key
            case "queue_events":
                return self.finished
        names = [name for scheme in security for name in scheme if name in self.credentials]
        return self.credentials[names[-1]]

    def make_real(self, given: dict[str, Any], *, for_operator: bool) -> None:
        """Replaces invented ids and dates with real ones."""
        for name, value in given.items():
            if name in self.ids and is_value(name, value):
                theirs = self.operators_ids if for_operator else {}
                given[name] = theirs.get(name, self.ids[name])


@pytest.fixture(scope="module")
async def desk(module_database: Database) -> AsyncIterator[Desk]:
    """A server without a limit per user: here one user sends all requests."""
    async with open_desk(module_database, user_requests_per_second=0) as made:
        yield made


@pytest.fixture(scope="module")
async def world(desk: Desk) -> World:
    """A sale in which one fan has one object of each kind."""
    concert, other = await desk.concert(**LASTING), await desk.concert(**LASTING)
    fan = await desk.buyer(concert, 1_000_000)
    payment = await fan.pay(await fan.hold(concert, 1))
    await fan.join(concert)
    await fan.until("admitted")
    # A call could wait for the end of an active hold.
    released = await fan.hold(concert, 2)
    await fan.by_key("DELETE", f"/reservations/{released['reservation_id']}")
    gone = await desk.buyer(concert)
    await gone.by_token("DELETE", "/queue/tokens/me")
    return World(
        address=str(desk.http.base_url),
        ids={
            "concert_id": concert.concert_id,
            "show_id": concert.shows[0]["show_id"],
            "date": concert.date,
            "user_id": fan.user_id,
            "reservation_id": released["reservation_id"],
            "payment_id": payment["payment_id"],
            "ticket_id": payment["tickets"][0]["ticket_id"],
        },
        operators_ids={"concert_id": other.concert_id, "show_id": other.shows[0]["show_id"]},
        credentials={
            "userKey": fan.user_key,
            "queueToken": fan.token,
            "operatorKey": OPERATOR_KEY,
        },
        leaver=(await desk.waiting(concert)).token,
        erased_key=(await desk.fan()).user_key,
        finished=gone.token,
    )


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_documented(world: World, case: Any) -> None:
    """No 5xx, and no undocumented status, content type, header or member."""
    for given in (case.path_parameters, case.body):
        if isinstance(given, dict):
            world.make_real(given, for_operator=case.path.startswith("/api/v1/admin/"))
    credential = world.credential(case)
    headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}
    case.call_and_validate(base_url=world.address, headers=headers)


def is_value(name: str, value: object) -> bool:
    """Whether a generated parameter is valid, so that a real one may replace it."""
    if name == "date":
        return isinstance(value, str) and len(value) == len("2027-03-14")
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True


async def test_audit_finds_no_violation(desk: Desk) -> None:
    """After all requests every invariant holds."""
    found = (await desk.operate("GET", "/admin/audit")).json()
    assert [f["invariant"] for f in found["findings"] if f["violations"]] == []
