"""Unpaid seats by network: a limited number in a concert, however many users hold them."""

import asyncio
from typing import Any

import pytest

from frontrow.errors import DomainError, RateLimited
from frontrow.ids import PlaceRef
from frontrow.reservations.model import Reservation, Wish
from frontrow.services import Services
from frontrow.web.access.client_addresses import network_number
from testkit.database import Database
from tests.buyers import ConcertOnSale, Owner, buyer, make_concert, pass_time, services_on

IPV4 = network_number("203.0.113.9")
FEW: dict[str, Any] = {
    "unpaid_seats_ipv4": 5,
    "unpaid_seats_ipv6_64": 2,
    "unpaid_seats_ipv6_56": 4,
    "unpaid_seats_ipv6_48": 7,
}


async def buyers(services: Services, made: ConcertOnSale, count: int) -> list[PlaceRef]:
    """Returns some admitted users."""
    return [await buyer(services, made.concert_id, 200_000) for _ in range(count)]


async def hold_from(
    services: Services, place: PlaceRef, made: ConcertOnSale, wanted: list[int] | Wish, network: int
) -> Reservation:
    """Holds seats of the first show from a network."""
    held, _ = await services.reservations.hold(place, made.shows[0], wanted, None, network)
    return held


async def limited(call: Any) -> int:
    """Returns the seconds of a refusal by the limit of the network."""
    with pytest.raises(RateLimited, match="from your network") as error:
        await call
    return error.value.retry_after_seconds


@pytest.mark.parametrize("best", [False, True])
async def test_unpaid_seats_of_an_address_are_limited(database: Database, *, best: bool) -> None:
    """Over all users, for named and best seats together, until a hold is paid or released."""
    async with services_on(database, **FEW) as services:
        made = await make_concert(services)
        one, two, three, four = await buyers(services, made, 4)
        first = await hold_from(services, one, made, [1, 2], IPV4)
        second = await hold_from(services, two, made, Wish(2), IPV4)
        wanted: list[int] | Wish = Wish(2) if best else [5, 6]
        seconds = await limited(hold_from(services, three, made, wanted, IPV4))
        assert 290 < seconds <= 300
        await hold_from(services, three, made, Wish(1) if best else [5], IPV4)
        await limited(hold_from(services, four, made, Wish(1) if best else [6], IPV4))
        await hold_from(services, four, made, [7], IPV4 + 1)
        await services.payments.pay(one, first.reservation_id, 100_000, None)
        await services.reservations.release(second.reservation_id, two.user_id, two)
        fresh = (await buyers(services, made, 1))[0]
        await hold_from(services, fresh, made, Wish(4) if best else [8, 9, 10, 11], IPV4)


async def test_unpaid_seats_of_ipv6_networks_are_limited(database: Database) -> None:
    """By /64, /56 and /48: many small networks of one customer gain nothing."""
    async with services_on(database, **FEW) as services:
        made = await make_concert(services)
        held = 0
        for site in range(0x100, 0x105):  # two /64 of the first /56, and three more
            network = network_number(f"2001:db8:1:{site:x}::/64")
            for _ in range(3):
                place = (await buyers(services, made, 1))[0]
                try:
                    await hold_from(services, place, made, Wish(1), network)
                except RateLimited:
                    break
                held += 1
        assert held == FEW["unpaid_seats_ipv6_56"]
        for site in (0x200, 0x300, 0x400):
            place = (await buyers(services, made, 1))[0]
            network = network_number(f"2001:db8:1:{site:x}::/64")
            await hold_from(services, place, made, Wish(1), network)
        place = (await buyers(services, made, 1))[0]
        network = network_number("2001:db8:1:ffff::/64")
        await limited(hold_from(services, place, made, Wish(1), network))
        await hold_from(services, place, made, Wish(1), network_number("2001:db8:2::/64"))


async def test_limit_is_exact_within_a_batch(database: Database) -> None:
    """Users who ask at the same moment get all seats that are left, and no more."""
    async with services_on(database, **FEW) as services:
        made = await make_concert(services)
        places = await buyers(services, made, 12)
        asked = [
            hold_from(services, place, made, Wish(1) if turn % 2 else [turn + 1], IPV4)
            for turn, place in enumerate(places)
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        held = [one for one in answers if isinstance(one, Reservation)]
        assert len(held) == FEW["unpaid_seats_ipv4"]
        assert all(isinstance(one, RateLimited) for one in answers if isinstance(one, DomainError))


async def test_unknown_networks_and_other_concerts_are_unlimited(database: Database) -> None:
    """A client of this machine has no network; each concert counts for itself; 0 is no limit."""
    async with services_on(database, **FEW) as services:
        made, other = await make_concert(services), await make_concert(services)
        for place in await buyers(services, made, 8):
            await services.reservations.hold(place, made.shows[0], Wish(1), None)
        for concert in (made, other):
            (place,) = await buyers(services, concert, 1)
            await hold_from(services, place, concert, Wish(4), IPV4)
    async with services_on(database, unpaid_seats_ipv4=0) as services:
        made = await make_concert(services)
        for place in await buyers(services, made, 8):
            await hold_from(services, place, made, Wish(4), IPV4)


async def test_network_is_forgotten_with_the_hold(database: Database, owner: Owner) -> None:
    """A paid, released or expired hold doesn't say where its user was."""
    async with services_on(database) as services:
        made = await make_concert(services)
        one, two, three = await buyers(services, made, 3)
        paid = await hold_from(services, one, made, [1], IPV4)
        released = await hold_from(services, two, made, [2], IPV4)
        await hold_from(services, three, made, [3], IPV4)
        count = "SELECT count(network) FROM reservation"
        assert await owner.fetchval(count) == 3
        await services.payments.pay(one, paid.reservation_id, 50_000, None)
        await services.reservations.release(released.reservation_id, two.user_id, two)
        assert await owner.fetchval(count) == 1
        await pass_time(database, 300)
        assert await services.reservations.expire() == 1
        assert await owner.fetchval(count) == 0
