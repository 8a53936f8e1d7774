"""Fans who go the whole path, ask again with their keys when an answer is lost, and remember.

What a fan was told in a 2xx answer is what must be there afterwards, once.
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
"""Which part of the fans changes the mind about the seats, or about the concert."""


@dataclass
class Visit:
    """What one user was told."""

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
    """Fans of one concert, and everything that they were told."""

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
        """Answers that never came."""
        return self.troubles["lost"]

    @property
    def away(self) -> int:
        """Answers of a server that was busy."""
        return self.troubles["unavailable"]

    @property
    def sales(self) -> list[Json]:
        """The payments that were acknowledged."""
        return [visit.payment for visit in self.visits if visit.payment is not None]

    @asynccontextmanager
    async def coming(self, fans: int) -> AsyncIterator[None]:
        """So many fans at a time come as long as the block lasts; each ends what it has begun."""
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
        """Wait for so many sales more."""
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
        """The whole path, with the detours that some take."""
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
        """Become a user, join the line and wait for the turn."""
        # Without a key: after a lost answer there is another user, of whom nobody knows.
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
        # Whoever was answered before this was sent is in front.
        assert self.visit.number > highest
        self.crowd.highest = max(self.crowd.highest, self.visit.number)
        self.crowd.visits.append(self.visit)
        while status["state"] != "admitted":
            assert status["state"] == "waiting"
            await asyncio.sleep(POLL_SECONDS)
            status = (await self._by_token("GET", "/queue/tokens/me")).json()
            assert status["number"] == self.visit.number

    async def hold(self) -> Json | None:
        """Hold one to three seats that are free; None where there are none left."""
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
            told: Json = answer.json()
            if answer.status == 201:
                assert told["state"] == "held"
                assert [seat["number"] for seat in told["seats"]] == sorted(wanted)
                self.visit.reservations.append(told)
                return told
            # After a refusal the key may be tried again, with other seats too.
            assert told["code"] == "seat_taken"
            assert set(told["seats"]) <= set(wanted)

    async def release(self, reservation: Json) -> None:
        """Give seats back."""
        path = f"/reservations/{reservation['reservation_id']}"
        await self._by_token("DELETE", path, expected=(204,))
        self.visit.released.add(reservation["reservation_id"])

    async def leave(self) -> None:
        """Go home without having bought anything."""
        lost = self.crowd.lost
        answer = await self._by_token("DELETE", "/queue/tokens/me", expected=(204, 401))
        if answer.status == 401:
            assert answer.json()["reason"] == "left"
            assert self.crowd.lost + self.crowd.away > lost
        self.visit.left = True

    async def charge(self, amount: int) -> None:
        """Put money into the wallet."""
        path = f"/users/{self.visit.user_id}/balance/charges"
        answer = await self._keyed(path, {"amount": amount}, self._key())
        self.visit.charges.append(answer.json())

    async def pay(self, reservation: Json) -> None:
        """Buy what is held."""
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
        """A call with an Idempotency-Key; every other one is asked again and answered the same."""
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
        """Ask until there is an answer."""
        answer = await insist(
            lambda: self.connection.ask(method, path, credential, body=body, idempotency_key=key),
            self.crowd.troubles,
            PATIENCE_SECONDS,
        )
        assert answer.status in expected, (method, path, answer)
        return answer


async def check_kept(crowd: Crowd) -> None:
    """Fail unless what each fan was told is there exactly once, and nothing else."""
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
    """The show that a payment was for."""
    return next(
        str(reservation["show_id"])
        for visit in crowd.visits
        for reservation in visit.reservations
        if reservation["reservation_id"] == payment["reservation_id"]
    )


async def _check_visit(fan: Fan) -> None:
    """Hold what one user was told against what the server has."""
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
    """The paid one is listed, as it was made; those given back are not."""
    expected = []
    if visit.payment is not None:
        expected = [
            {**made, "state": "paid", "payment_id": visit.payment["payment_id"]}
            for made in visit.reservations
            if made["reservation_id"] == visit.payment["reservation_id"]
        ]
        assert len(expected) == 1
    assert found == expected
