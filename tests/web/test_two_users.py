"""Two users: no call with any credential of one user gives access to an object of the other.

The calls are those of the OpenAPI document. The answer about an existing object of another user is,
to the byte, the answer about an object that doesn't exist.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from frontrow.web.routes import document
from testkit.database import Database
from testkit.desk import Concert, Desk, Fan, Json, open_desk, starts_at
from testkit.issuer import AUDIENCE, running_issuer

PRIVATE = {"user_id", "reservation_id", "payment_id", "ticket_id", "after", "code", "any_id"}
"""Parameters that name an object of one user."""
PUBLIC = {"concert_id", "show_id"}
"""Parameters that name a public object."""
HOUSE = {"key_id"}
"""Parameters that name an object of the operator; other credentials never reach it."""

OF_USERS = {
    "balance": {"user_id"},
    "transfers": {"user_id"},
    "charge": {"user_id"},
    "reservation": {"reservation_id"},
    "release": {"reservation_id"},
    "payments": {"after"},
    "payment": {"payment_id"},
    "ticket": {"ticket_id"},
    "ticket_qr": {"ticket_id"},
    "ticket_print": {"ticket_id"},
    "ticket_calendar": {"ticket_id"},
    "refund_own": {"payment_id"},
    "pay": {"reservation_id"},
}
"""The users' calls that name a private object, in an order in which its owner can make them all."""
OF_THE_OPERATOR = {
    "reissue_key": {"user_id"},
    "revoke_keys": {"user_id"},
    "refund": {"payment_id"},
    "check_in": {"code"},
    "concert_payments": {"after"},
    "look_up": {"any_id"},
}
SUCCEEDS_ANYWAY = {"payments"}
"""Calls that succeed with the caller's own objects, as the contract says."""

STREAM = "queue_events"
"""It has no end, and its events have the poll's contents."""

ONE_BY_ONE = {"policy": {"kind": "max_active", "max_active": 1}}
LASTING: dict[str, Any] = {"hold_seconds": 3600, "refundable_until": starts_at(20)}
JITTERED = {"poll_after_ms"}
OWN = {"x-request-id", "date", "retry-after"}
"""Headers that differ between answers of the same kind."""


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    described: Json

    @property
    def name(self) -> str:
        """Its operationId."""
        return str(self.described["operationId"])

    @property
    def schemes(self) -> set[str]:
        """Returns the kinds of credentials that it accepts."""
        return {scheme for each in self.described["security"] for scheme in each}

    @property
    def objects(self) -> set[str]:
        """Returns the parameters, of the path, the query or the body, that name an object."""
        found = {
            each["name"]
            for each in self.described["parameters"]
            if each["in"] != "header" and names_an_object(each["name"], each["schema"])
        }
        if "requestBody" in self.described:
            content = self.described["requestBody"]["content"]["application/json"]
            found |= {
                name for name, schema in fields(content["schema"]) if names_an_object(name, schema)
            }
        return found

    def refuses(self, code: str) -> bool:
        """Whether this refusal is documented."""
        return any(
            code in content.get("examples", {})
            for answer in self.described["responses"].values()
            for content in answer.get("content", {}).values()
        )


def fields(schema: Json) -> Iterator[tuple[str, Json]]:
    """Yields every field of a body, including nested ones."""
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    parts = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    for part in parts + [schema[name] for name in ("items",) if name in schema]:
        yield from fields(part)
    for name, described in schema.get("properties", {}).items():
        yield name, described
        yield from fields(described)


def names_an_object(name: str, schema: Json) -> bool:
    """Whether a parameter is an id, or a secret that identifies an object."""
    formats = {part.get("format") for part in (schema, *schema.get("anyOf", ()))}
    return "uuid" in formats or name.endswith("_id") or name == "code"


OPERATIONS = {
    operation.name: operation
    for path, methods in document()["paths"].items()
    for method, described in methods.items()
    for operation in [Operation(method.upper(), path, described)]
}


@dataclass(frozen=True)
class Credential:
    """A credential of the other user."""

    schemes: set[str]
    headers: dict[str, str]
    state: str = "admitted"
    """State of the place, for a queue token."""

    def answers(self, operation: Operation) -> set[tuple[int, str]]:
        """Returns the allowed answers to a call that names an object of another user.

        A call may check the place or the object first.
        """
        if not self.schemes & operation.schemes:
            missing = "Authorization" not in self.headers
            return {(401, f"credential_{'missing' if missing else 'invalid'}")}
        if operation.name in SUCCEEDS_ANYWAY:
            return {(200, "")}
        found = {(404, "not_found")}
        if self.state == "finished" and operation.refuses("token_finished"):
            found.add((401, "token_finished"))
        if self.state == "waiting" and operation.refuses("not_admitted"):
            found.add((403, "not_admitted"))
        return found


@dataclass
class World:
    """A sale in which both users have one object of each kind."""

    desk: Desk
    concert: Concert
    owner: Fan
    has: dict[str, str]
    """The owner's objects by the names of their parameters."""
    secrets: set[str]
    """Values that no other user may read."""
    amount: int
    spare_id: str
    """Another reservation of the owner, which can be released."""
    own: dict[str, str] = field(default_factory=dict)
    """The objects of the other user."""
    credentials: dict[str, Credential] = field(default_factory=dict)

    async def ask(
        self,
        operation: Operation,
        named: dict[str, str],
        headers: dict[str, str],
        *,
        key: str = "the-owners",
    ) -> httpx2.Response:
        """Makes a call with these objects, and otherwise with valid values.

        Its Idempotency-Key is by default the owner's.
        """
        named = {
            "concert_id": self.concert.concert_id,
            "show_id": self.concert.shows[0]["show_id"],
            "date": self.concert.date,
            "key_id": "0" * 8,
            **named,
        }
        request: Json = {}
        parameters = {each["name"]: each["in"] for each in operation.described["parameters"]}
        query = {
            name: named[name]
            for name in operation.objects & set(named)
            if parameters.get(name) == "query"
        }
        if query:
            request["params"] = query
        if "Idempotency-Key" in parameters:
            headers = {**headers, "Idempotency-Key": key}
        if "requestBody" in operation.described:
            content = operation.described["requestBody"]["content"]["application/json"]
            body = {**content["example"]}
            body |= {name: value for name, value in named.items() if name in body}
            request["json"] = body | ({"amount": self.amount} if "amount" in body else {})
        path = operation.path.format_map(named)
        return await self.desk.ask(operation.method, f"/{path}", headers=headers, **request)


def bearer(credential: str) -> dict[str, str]:
    """Returns the header with a credential."""
    return {"Authorization": f"Bearer {credential}"}


@pytest.fixture(scope="module")
async def world(module_database: Database) -> AsyncIterator[World]:
    """The sale, on a server without upkeep that also accepts ID tokens."""
    with running_issuer() as issuer:
        async with open_desk(
            module_database,
            oidc_issuer=issuer.address,
            oidc_audience=AUDIENCE,
            guests=True,
            user_requests_per_second=0,
            stock_seconds=3600,
            expiry_tick_seconds=3600,
        ) as desk:
            concert = await desk.concert(**LASTING)
            # The other user bought before the owner did, and pages back from there.
            fan = await desk.buyer(concert, 500_000)
            payment = await fan.pay(await fan.hold(concert, 11))
            made = await create_owner(desk, concert)
            await add_objects_and_credentials(made, fan, payment, issuer.token("other").decode())
            yield made


async def create_owner(desk: Desk, concert: Concert) -> World:
    """Creates the owner: a purchase, two holds, a balance, a place in the line."""
    fan = await desk.buyer(concert, 500_000)
    key = {"headers": {"Idempotency-Key": "the-owners"}}
    payment = await fan.pay(await fan.hold(concert, 1, 2, **key), **key)
    bought_with = fan.token
    await fan.join(concert)
    await fan.until("admitted")
    held, spare = await fan.hold(concert, 3), await fan.hold(concert, 4)
    charge = await fan.charge(held["amount"], **key)
    ticket = payment["tickets"][0]
    has = {
        "user_id": fan.user_id,
        "reservation_id": held["reservation_id"],
        "payment_id": payment["payment_id"],
        "after": payment["payment_id"],
        "ticket_id": ticket["ticket_id"],
        "code": ticket["code"],
        "any_id": payment["payment_id"],
    }
    secrets = {
        *has.values(), fan.user_key, fan.token, bought_with, charge["charge_id"],
        payment["reservation_id"], spare["reservation_id"],
        *(str(each[name]) for each in payment["tickets"] for name in ("ticket_id", "code")),
    }  # fmt: skip
    return World(desk, concert, fan, has, secrets, held["amount"], spare["reservation_id"])


async def add_objects_and_credentials(world: World, fan: Fan, payment: Json, id_token: str) -> None:
    """Gives the buyer every other kind of object, and every kind of credential."""
    desk, concert, finished = world.desk, world.concert, fan.token
    await fan.join(concert)
    await fan.until("admitted")
    held = await fan.hold(concert, 12)
    admitted = fan.token
    full, elsewhere = await desk.concert(waiting_room=ONE_BY_ONE), await desk.concert()
    await desk.buyer(full)
    await fan.join(full)
    waiting = fan.token
    await fan.join(elsewhere)
    await fan.until("admitted")
    # The first call of an admitted place claims it; later calls write nothing.
    await fan.by_token("GET", f"/users/{fan.user_id}/balance")
    # So does the first call with an ID token.
    assert (await desk.ask("GET", "/users/me", id_token)).status_code == 200
    world.own = {
        "user_id": fan.user_id,
        "reservation_id": held["reservation_id"],
        "payment_id": payment["payment_id"],
        "after": payment["payment_id"],
        "ticket_id": payment["tickets"][0]["ticket_id"],
        "code": payment["tickets"][0]["code"],
        "any_id": payment["payment_id"],
    }
    place = f"frontrow_place_{concert.concert_id.replace('-', '')}"
    origin = str(desk.http.base_url).rstrip("/")
    token, key = {"queueToken"}, {"userKey"}
    world.credentials = {
        "nothing": Credential(set(), {}),
        "user key": Credential(key, bearer(fan.user_key)),
        "ID token": Credential({"idToken"}, bearer(id_token)),
        "admitted token": Credential(token, bearer(admitted)),
        "waiting token": Credential(token, bearer(waiting), "waiting"),
        "finished token": Credential(token, bearer(finished), "finished"),
        "token of another concert": Credential(token, bearer(fan.token)),
        "page": Credential(
            key | token,
            {
                "Cookie": f"frontrow_user={fan.user_key}; {place}={admitted}",
                "Frontrow-Concert": concert.concert_id,
                "Origin": origin,
                "Sec-Fetch-Site": "same-origin",
            },
        ),
    }


def test_every_parameter_of_an_object_is_classified() -> None:
    """Each parameter that names an object belongs to one user, is public, or the operator's."""
    named = {name: objects for name, one in OPERATIONS.items() if (objects := one.objects)}
    assert set().union(*named.values()) <= PRIVATE | PUBLIC | HOUSE


def test_every_call_with_an_object_is_listed() -> None:
    """A new call that names an object of a user must be added to the list."""
    private = {
        name: objects for name, one in OPERATIONS.items() if (objects := one.objects & PRIVATE)
    }
    assert private == OF_USERS | OF_THE_OPERATOR
    assert {name for name in private if OPERATIONS[name].schemes == {"operatorKey"}} == set(
        OF_THE_OPERATOR
    )


def comparable(response: httpx2.Response) -> tuple[int, Any, dict[str, str]]:
    """Returns what equal answers have in common."""
    body: Any = response.content
    if response.headers.get("content-type", "").endswith("json"):
        body = response.json()
        body = {name: value for name, value in body.items() if name not in JITTERED}
    headers = {name: value for name, value in response.headers.items() if name not in OWN}
    headers.pop("content-length", None)  # the length of jittered values
    return response.status_code, body, headers


@pytest.mark.parametrize("name", [*OF_USERS, *OF_THE_OPERATOR])
async def test_object_of_another_user_is_like_an_unknown_one(world: World, name: str) -> None:
    """Any credential gets the answer about an unknown id, to the byte; nothing changes."""
    operation = OPERATIONS[name]
    before = await world.desk.digest()
    for kind, credential in world.credentials.items():
        wanted = credential.answers(operation)
        for parameter in (OF_USERS | OF_THE_OPERATOR)[name]:
            theirs = await world.ask(
                operation, {parameter: world.has[parameter]}, credential.headers
            )
            nobodys = await world.ask(operation, {parameter: str(uuid4())}, credential.headers)
            code = theirs.json().get("code", "")
            assert (theirs.status_code, code) in wanted, (kind, theirs.text)
            assert comparable(theirs) == comparable(nobodys), kind
    assert await world.desk.digest() == before


async def test_no_answer_contains_values_of_another_user(world: World) -> None:
    """No other answer to the other user contains a value of the owner."""
    answered = set()
    for operation in OPERATIONS.values():
        if operation.method != "GET" or operation.name == STREAM:
            continue
        for credential in world.credentials.values():
            response = await world.ask(operation, world.own, credential.headers)
            if response.is_success:
                answered.add(operation.name)
            for secret in world.secrets:
                assert secret not in response.text, (operation.name, secret)
    # The control: each call that a user may make succeeded with some credential.
    reads = {name: one for name, one in OPERATIONS.items() if one.method == "GET"}
    assert answered >= {
        name for name, one in reads.items() if one.schemes - {"operatorKey"} and name != STREAM
    }


async def test_owner_can_make_every_call(world: World) -> None:
    """The control, and therefore the last test: the objects exist and the requests are valid."""
    for name, parameters in OF_USERS.items():
        operation = OPERATIONS[name]
        named = {parameter: world.has[parameter] for parameter in parameters}
        if name == "release":
            named = {"reservation_id": world.spare_id}
        key = world.owner.user_key if "userKey" in operation.schemes else world.owner.token
        response = await world.ask(operation, named, bearer(key), key="another")
        assert response.is_success, (name, response.text)
