"""The shoppers of the soak, who continue through failures of the servers; and their answers.

Each asks one server or the other at random, repeats a request whose answer is lost, and records
every answer.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from testkit.connection import Answer, Connection, Json, insist

PATIENCE_SECONDS = 60
POLL_SECONDS = 0.05
KINDS = {"buyer": 50, "impatient": 15, "quitter": 10, "idler": 5, "hoarder": 10, "absent": 10}
"""What users do, and how often: pay; leave the line; leave a session; claim and do nothing; hold
and do nothing; never claim."""


@dataclass
class Room:
    """A line, and its concert."""

    concert: Json
    settings: Json
    highest: int = 0
    """The highest number that was acknowledged."""

    @property
    def concert_id(self) -> str:
        """Returns its concert."""
        return str(self.concert["concert_id"])


@dataclass
class Visit:
    """The recorded answers of one user in one line."""

    user: Json
    room: Room
    token: str
    number: int
    admitted_at: str | None = None
    holds: list[Json] = field(default_factory=list)
    charges: list[Json] = field(default_factory=list)
    released: set[str] = field(default_factory=set)
    payment: Json | None = None
    ended: str | None = None
    """The reason in the last answer."""


@dataclass
class Crowd:
    """All shoppers together. ``broken``: the answers that became untrue."""

    ports: Sequence[int]
    rooms: list[Room]
    random: Random
    visits: list[Visit] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    going_home: bool = False

    async def come(self) -> None:
        """Shops, one visit after the other, until the crowd is sent home."""
        while not self.going_home:
            shopper = Shopper(self)
            try:
                await shopper.shop()
            finally:
                await shopper.close()


class Finished(Exception):
    """The place has ended: what was begun can't continue."""


class Shopper:
    """One user, with a connection to each server."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.random = crowd.random
        self.visit: Visit
        self._connections = [Connection(port) for port in crowd.ports]
        self._keys = 0

    async def close(self) -> None:
        """Closes the connections."""
        for connection in self._connections:
            await connection.close()

    async def shop(self) -> None:
        """Joins a line, and acts by a random kind."""
        await self.join()
        (kind,) = self.random.choices(list(KINDS), list(KINDS.values()))
        if kind == "absent":
            return
        try:
            if kind == "impatient":
                await self.poll()
                await self.leave()
            elif not await self.wait_until_admitted():
                await self.leave()
            elif kind == "idler":
                await self.by_token("GET", f"/concerts/{self.visit.room.concert_id}/dates")
                await self.stay()
            else:
                await self.buy(kind)
        except Finished:
            pass

    async def join(self) -> None:
        """Creates a user who joins some line."""
        room = self.random.choice(self.crowd.rooms)
        user = (await self.ask("POST", "/users", body={}, expected=(201,))).json()
        highest = room.highest
        answer = await self.ask(
            "POST", "/queue/tokens", user["user_key"],
            body={"concert_id": room.concert_id}, expected=(200, 201),
        )  # fmt: skip
        status = answer.json()
        self.visit = Visit(user, room, status["token"], status["number"], status["admitted_at"])
        # Every join that was answered before this request has a smaller number.
        if status["number"] <= highest:
            self.crowd.broken.append(f"number {status['number']} was issued after {highest}")
        room.highest = max(room.highest, status["number"])
        self.crowd.visits.append(self.visit)

    async def poll(self) -> str:
        """Returns the state of the place."""
        status = (await self.by_token("GET", "/queue/tokens/me")).json()
        self.visit.admitted_at = self.visit.admitted_at or status["admitted_at"]
        self.visit.ended = status["reason"]
        return str(status["state"])

    async def wait_until_admitted(self) -> bool:
        """Waits for the admission; returns False at the end of the run, or if it was missed."""
        while (state := await self.poll()) == "waiting":
            if self.crowd.going_home:
                break
            await asyncio.sleep(POLL_SECONDS)
        if state == "finished":
            raise Finished
        return state == "admitted"

    async def stay(self) -> None:
        """Waits until the place has ended."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.poll() != "finished":  # noqa: ASYNC110 - the clock ends it
                await asyncio.sleep(POLL_SECONDS)

    async def buy(self, kind: str) -> None:
        """Holds seats, then acts by the kind of user."""
        held = await self.hold()
        if kind == "hoarder":
            await self.stay()
        elif kind == "quitter" or held is None:
            if held is not None and self.random.random() < 0.5:
                path = f"/reservations/{held['reservation_id']}"
                await self.by_token("DELETE", path, expected=(204,))
                self.visit.released.add(held["reservation_id"])
            await self.leave()
        else:
            path = f"/users/{self.visit.user['user_id']}/balance/charges"
            charged = await self.by_token("POST", path, body={"amount": held["amount"]})
            self.visit.charges.append(charged.json())
            body = {name: held[name] for name in ("reservation_id", "amount")}
            paid = await self.by_token("POST", "/payments", body=body, expected=(201, 410))
            if paid.status == 201:
                self.visit.payment = paid.json()

    async def hold(self) -> Json | None:
        """Holds one or two seats of some show; returns None if the first few tries are refused."""
        for _ in range(3):
            show = self.random.choice(self.visit.room.concert["shows"])["show_id"]
            first = self.random.randint(1, 499)
            seats = [first, first + 1][: self.random.randint(1, 2)]
            body = {"show_id": show, "seats": seats}
            answer = await self.by_token("POST", "/reservations", body=body, expected=(201, 409))
            if answer.status == 201:
                held: Json = answer.json()
                self.visit.holds.append(held)
                return held
        return None

    async def leave(self) -> None:
        """Leaves."""
        answer = await self.ask("DELETE", "/queue/tokens/me", self.visit.token, expected=(204, 401))
        self.visit.ended = "left" if answer.status == 204 else answer.json()["reason"]

    async def by_token(
        self, method: str, path: str, *, body: Json | None = None, expected: tuple[int, ...] = ()
    ) -> Answer:
        """Makes a call for the place. Raises Finished."""
        key = None
        if method == "POST":
            self._keys += 1
            key = f"key {self._keys}"
        answer = await self.ask(
            method, path, self.visit.token, body=body, key=key,
            expected=(401, *(expected or (201 if body else 200,))),
        )  # fmt: skip
        if answer.status == 401:
            problem = answer.json()
            if problem["code"] != "token_finished":
                self.crowd.broken.append(f"{method} {path}: {problem}")
            self.visit.ended = problem.get("reason")
            raise Finished
        return answer

    async def ask(
        self,
        method: str,
        path: str,
        credential: str | None = None,
        *,
        body: Json | None = None,
        key: str | None = None,
        expected: tuple[int, ...],
    ) -> Answer:
        """Asks random servers until one answers."""
        answer = await insist(
            lambda: self.random.choice(self._connections).ask(
                method, path, credential, body=body, idempotency_key=key
            ),
            self.crowd.counts,
            PATIENCE_SECONDS,
        )
        if answer.status not in expected:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer


async def check(crowd: Crowd) -> None:
    """Compares every recorded answer with the current answers of the servers."""
    visits = iter(crowd.visits)

    async def checking() -> None:
        for visit in visits:
            shopper = Shopper(crowd)
            shopper.visit = visit
            try:
                await _check(shopper)
            finally:
                await shopper.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(32):
            group.create_task(checking())


async def _check(shopper: Shopper) -> None:
    visit, broken = shopper.visit, shopper.crowd.broken
    key = visit.user["user_key"]

    async def get(path: str, credential: str = key) -> Json:
        answer = await shopper.ask("GET", path, credential, expected=(200, 404))
        found: Json = answer.json() if answer.status == 200 else {}
        return found

    status = await get("/queue/tokens/me", visit.token)
    who = f"user {visit.user['user_id']}"
    if status.get("number") != visit.number:
        broken.append(f"{who} got the number {visit.number}, and has {status}")
        return
    if visit.admitted_at not in (None, status["admitted_at"]):
        broken.append(f"{who} was admitted at {visit.admitted_at}, not {status['admitted_at']}")
    ended = "paid" if visit.payment else visit.ended
    if ended not in (None, status["reason"]):
        broken.append(f"{who} is {status['reason']}, not {ended}")
    for held in visit.holds:
        found = await get(f"/reservations/{held['reservation_id']}")
        _check_hold(visit, held, found, broken)
    if visit.payment and await get(f"/payments/{visit.payment['payment_id']}") != visit.payment:
        broken.append(f"{who}: payment {visit.payment} isn't there")
    me = await get("/users/me")
    money = sum(c["amount"] for c in visit.charges) - (visit.payment or {"amount": 0})["amount"]
    if len(me["payments"]) != int(visit.payment is not None) or me["balance"] != money:
        broken.append(f"{who} has {me['payments']} and {me['balance']}, not {money}")


def _check_hold(visit: Visit, held: Json, found: Json, broken: list[str]) -> None:
    changing = {"state", "payment_id"}
    if any(found.get(name) != held[name] for name in held.keys() - changing):
        broken.append(f"{held} has become {found}")
        return
    payment = visit.payment
    if payment is not None and payment["reservation_id"] == held["reservation_id"]:
        states = {"paid"}
    elif held["reservation_id"] in visit.released:
        states = {"released"}
    elif visit.ended or payment:
        states = {"released", "expired"}
    else:
        states = {"held", "released", "expired"}
    if found["state"] not in states:
        broken.append(f"{held['reservation_id']} is {found['state']}, not one of {states}")
