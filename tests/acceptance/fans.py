"""Fans who take the whole path, retry with their keys after a lost answer, and keep a record.

Everything that a 2xx answer acknowledged must exist afterwards, exactly once.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from testkit.connection import Answer, Connection, Json, insist

PATIENCE_SECONDS = 90
POLL_SECONDS = 0.1
RELEASING, LEAVING = 0.15, 0.1
"""The share of fans who release their seats, and the share who leave without buying."""


@dataclass
class Visit:
    """What the server acknowledged to one user."""

    user_id: str
    user_key: str
    token: str = ""
    number: int = 0
    charges: list[Json] = field(default_factory=list)
    reservations: list[Json] = field(default_factory=list)
    released: set[str] = field(default_factory=set)
    payment: Json | None = None
    left: bool = False


class Crowd:
    """Fans of one concert, and everything that the server acknowledged to them."""

    def __init__(self, port: int, concert_id: str, *, seed: int = 1) -> None:
        self.port = port
        self.concert_id = concert_id
        self.random = Random(seed)  # noqa: S311 - chooses seats, guards nothing
        self.visits: list[Visit] = []
        self.sold = asyncio.Condition()
        self.highest = 0
        self.troubles: Counter[str] = Counter()
        self.going_home = False

    @property
    def lost(self) -> int:
        """Requests without an answer."""
        return self.troubles["lost"]

    @property
    def away(self) -> int:
        """Requests that a busy server refused."""
        return self.troubles["unavailable"]

    @property
    def sales(self) -> list[Json]:
        """The acknowledged payments."""
        return [visit.payment for visit in self.visits if visit.payment is not None]

    @asynccontextmanager
    async def coming(self, fans: int) -> AsyncIterator[None]:
        """Runs n fans at a time during the block; each completes its visit."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._come()) for _ in range(fans)]
            try:
                yield
            except BaseException:
                for task in tasks:
                    task.cancel()
                raise
            finally:
                self.going_home = True

    async def further_sales(self, count: int) -> None:
        """Waits until ``count`` more payments are acknowledged."""
        wanted = len(self.sales) + count
        async with asyncio.timeout(PATIENCE_SECONDS), self.sold:
            await self.sold.wait_for(lambda: len(self.sales) >= wanted)

    async def _come(self) -> None:
        while not self.going_home:
            fan = Fan(self)
            try:
                await fan.visit_once()
            finally:
                await fan.connection.close()


class Fan:
    """One user on one connection."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.random = crowd.random
        self.connection = Connection(crowd.port)
        self.visit: Visit
        self._keys = 0

    async def visit_once(self) -> None:
        """The whole path; some fans release seats or leave."""
        await self.enter()
        reservation = await self.hold()
        if reservation is not None and self.random.random() < RELEASING:
            await self.release(reservation)
            reservation = await self.hold()
        if reservation is None or self.random.random() < LEAVING:
            await self.leave()
            return
        await self.charge(1_000)
        await self.charge(int(reservation["amount"]))
        await self.pay(reservation)

    async def enter(self) -> None:
        """Creates a user, joins the line and waits for admission."""
        # Without an idempotency key: a lost answer leaves a user that no fan knows.
        made = (await self._insist("POST", "/users", body={}, expected=(201,))).json()
        self.visit = Visit(made["user_id"], made["user_key"])
        highest = self.crowd.highest
        joined = await self._insist(
            "POST",
            "/queue/tokens",
            self.visit.user_key,
            body={"concert_id": self.crowd.concert_id},
            expected=(200, 201),
        )
        status = joined.json()
        self.visit.token, self.visit.number = status["token"], status["number"]
        # A place that was acknowledged before this request was sent is ahead.
        assert self.visit.number > highest
        self.crowd.highest = max(self.crowd.highest, self.visit.number)
        self.crowd.visits.append(self.visit)
        while status["state"] != "admitted":
            assert status["state"] == "waiting"
            await asyncio.sleep(POLL_SECONDS)
            status = (await self._by_token("GET", "/queue/tokens/me")).json()
            assert status["number"] == self.visit.number

    async def hold(self) -> Json | None:
        """Holds one to three available seats; returns None if the concert is sold out."""
        key = self._key()
        concert = f"/concerts/{self.crowd.concert_id}"
        while True:
            dates = (await self._by_token("GET", f"{concert}/dates")).json()["dates"]
            if not dates:
                return None
            date = self.random.choice(dates)["date"]
            path = f"{concert}/dates/{date}/seats?available=true"
            seats = (await self._by_token("GET", path)).json()["seats"]
            numbers = [seat["number"] for seat in seats]
            if not numbers:
                continue
            wanted = self.random.sample(numbers, min(len(numbers), self.random.randint(1, 3)))
            answer = await self._keyed(
                "/reservations", {"date": date, "seats": wanted}, key, expected=(201, 409)
            )
            body: Json = answer.json()
            if answer.status == 201:
                assert body["state"] == "held"
                assert [seat["number"] for seat in body["seats"]] == sorted(wanted)
                self.visit.reservations.append(body)
                return body
            # After a refusal the key may be used again, with other seats too.
            assert body["code"] in ("seat_taken", "recently_released")
            assert set(body["seats"]) <= set(wanted)

    async def release(self, reservation: Json) -> None:
        """Releases a hold."""
        path = f"/reservations/{reservation['reservation_id']}"
        await self._by_token("DELETE", path, expected=(204,))
        self.visit.released.add(reservation["reservation_id"])

    async def leave(self) -> None:
        """Leaves the line without a purchase."""
        lost = self.crowd.lost
        answer = await self._by_token("DELETE", "/queue/tokens/me", expected=(204, 401))
        if answer.status == 401:
            assert answer.json()["reason"] == "left"
            assert self.crowd.lost + self.crowd.away > lost
        self.visit.left = True

    async def charge(self, amount: int) -> None:
        """Charges the wallet."""
        path = f"/users/{self.visit.user_id}/balance/charges"
        answer = await self._keyed(path, {"amount": amount}, self._key())
        self.visit.charges.append(answer.json())

    async def pay(self, reservation: Json) -> None:
        """Pays for a hold."""
        body = {name: reservation[name] for name in ("reservation_id", "amount")}
        self.visit.payment = (await self._keyed("/payments", body, self._key())).json()
        async with self.crowd.sold:
            self.crowd.sold.notify_all()

    def _key(self) -> str:
        self._keys += 1
        return f"key {self._keys}"

    async def _keyed(
        self, path: str, body: Json, key: str, *, expected: tuple[int, ...] = (201,)
    ) -> Answer:
        """Calls with an Idempotency-Key; repeats every second call and expects the same answer."""
        answer = await self._by_token("POST", path, body=body, key=key, expected=expected)
        if answer.status == 201 and self.random.random() < 0.5:
            again = await self._by_token("POST", path, body=body, key=key, expected=(201,))
            assert again.headers["idempotency-replayed"] == "true"
            assert again.json() == answer.json()
        return answer

    async def _by_token(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        key: str | None = None,
        expected: tuple[int, ...] = (200,),
    ) -> Answer:
        return await self._insist(
            method, path, self.visit.token, body=body, key=key, expected=expected
        )

    async def _insist(
        self,
        method: str,
        path: str,
        credential: str | None = None,
        *,
        body: Json | None = None,
        key: str | None = None,
        expected: tuple[int, ...],
    ) -> Answer:
        """Repeats a call until it is answered."""
        answer = await insist(
            lambda: self.connection.ask(method, path, credential, body=body, idempotency_key=key),
            self.crowd.troubles,
            PATIENCE_SECONDS,
        )
        assert answer.status in expected, (method, path, answer)
        return answer


async def check_kept(crowd: Crowd) -> None:
    """Asserts that everything acknowledged to the fans exists once, and nothing else."""
    fans = []
    for visit in crowd.visits:
        fan = Fan(crowd)
        fan.visit = visit
        fans.append(fan)
    for start in range(0, len(fans), 50):
        await asyncio.gather(*(_check_visit(fan) for fan in fans[start : start + 50]))
    sold = [(visit, seat) for visit in crowd.sales for seat in visit["seats"]]
    assert len({(_show(crowd, payment), seat) for payment, seat in sold}) == len(sold)
    numbers = [visit.number for visit in crowd.visits]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def _show(crowd: Crowd, payment: Json) -> str:
    """Returns the show of a payment."""
    return next(
        str(reservation["show_id"])
        for visit in crowd.visits
        for reservation in visit.reservations
        if reservation["reservation_id"] == payment["reservation_id"]
    )


async def _check_visit(fan: Fan) -> None:
    """Compares what was acknowledged to one user with what the server has."""
    visit, ask = fan.visit, fan.connection.ask
    try:
        me = (await ask("GET", "/users/me", visit.user_key)).json()
        path = f"/users/{visit.user_id}/balance/transfers?limit=100"
        page = (await ask("GET", path, visit.user_key)).json()
        status = (await ask("GET", "/queue/tokens/me", visit.token)).json()
    finally:
        await fan.connection.close()
    payments = [] if visit.payment is None else [visit.payment]
    assert me["payments"] == payments
    assert [ticket["ticket_id"] for ticket in _by_number(me["tickets"])] == [
        ticket["ticket_id"] for payment in payments for ticket in _by_number(payment["tickets"])
    ]
    charges = [("charge", c["charge_id"], c["amount"], c["balance"]) for c in visit.charges]
    debits = [("payment", p["payment_id"], p["amount"], p["balance"]) for p in payments]
    names = ("kind", "transfer_id", "amount", "balance")
    transfers = [tuple(transfer[name] for name in names) for transfer in page["transfers"]]
    assert transfers == [*debits, *reversed(charges)]
    assert me["balance"] == (transfers[0][-1] if transfers else 0)
    _check_reservations(visit, me["reservations"])
    assert (status["state"], status["reason"]) == (
        "finished",
        "left" if visit.left else "paid",
    )


def _by_number(tickets: list[Json]) -> list[Json]:
    return sorted(tickets, key=lambda ticket: int(ticket["number"]))


def _check_reservations(visit: Visit, found: list[Json]) -> None:
    """Asserts that only the paid reservation is listed, as it was created."""
    expected = []
    if visit.payment is not None:
        expected = [
            {**made, "state": "paid", "payment_id": visit.payment["payment_id"]}
            for made in visit.reservations
            if made["reservation_id"] == visit.payment["reservation_id"]
        ]
        assert len(expected) == 1
    assert found == expected
