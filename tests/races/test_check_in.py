"""Races at the gates: a ticket that is scanned several times concurrently is accepted once."""

import asyncio

from frontrow.errors import AlreadyCheckedIn
from frontrow.payments.check_in import Scan
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import make_concert
from tests.races.crowds import answers, crowd, granted, refused
from tests.races.rivals import fetch, rivals

Pair = tuple[Services, Services]

PRICE = 50_000


async def codes(services: Services, tickets: int) -> list[str]:
    """Returns the codes of ``count`` tickets, each of a different user."""
    made = await make_concert(services, seats=tickets, price=PRICE)
    places = await crowd(services, made.concert_id, tickets, balance=PRICE)

    async def buy(seat: int) -> str:
        place = places[seat - 1]
        held, _ = await services.reservations.hold(place, made.shows[0], [seat], None)
        payment, _ = await services.payments.pay(place, held.reservation_id, PRICE, None)
        return str(payment.tickets[0].code)

    return list(await asyncio.gather(*(buy(seat) for seat in range(1, tickets + 1))))


async def test_ticket_scanned_by_two_gates_is_accepted_once(pair: Pair, database: Database) -> None:
    """Each of 100 tickets is scanned four times concurrently, by two gates per process."""
    tickets, times = 100, 4
    bought = await codes(pair[0], tickets)

    found = await answers(
        pair[turn % 2].check_ins.check_in(Scan(code, f"gate {turn}"), None)
        for code in bought
        for turn in range(times)
    )

    for at in range(tickets):
        scans = found[times * at : times * (at + 1)]
        ((done, replayed),) = granted(scans)
        assert not replayed
        late = refused(scans)
        assert len(late) == times - 1
        for refusal in late:
            assert isinstance(refusal, AlreadyCheckedIn)
            assert refusal.fields["ticket_id"] == done.ticket_id
            assert refusal.fields["checked_in_at"] == done.checked_in_at
            assert refusal.fields["gate"] == done.gate
    rows = await fetch(
        database, "SELECT count(DISTINCT check_in_id) FROM ticket WHERE checked_in_at IS NOT NULL"
    )
    assert rows[0][0] == tickets


async def test_forged_codes_are_refused_among_genuine_ones(pair: Pair) -> None:
    """Of many concurrent scans each forged code is refused and each genuine one accepted."""
    bought = await codes(pair[0], 40)
    forged = [code[:-4] + bought[at - 1][-4:] for at, code in enumerate(bought)]
    scans = [code for two in zip(forged, bought, strict=True) for code in two]
    found = await answers(pair[0].check_ins.check_in(Scan(code), None) for code in scans)
    assert [refusal.code for refusal in refused(found)] == ["not_found"] * 40
    assert len(granted(found[1::2])) == 40


async def test_repeated_scan_gets_one_answer(pair: Pair) -> None:
    """A scan sent 20 times with one key over two processes gets the same answer each time."""
    (code,) = await codes(pair[0], 1)
    found = await asyncio.gather(
        *(pair[turn % 2].check_ins.check_in(Scan(code, "North 2"), "k") for turn in range(20))
    )
    assert [done for done, _ in found] == [found[0][0]] * 20
    assert [replayed for _, replayed in found].count(False) == 1


async def test_one_key_for_two_tickets_accepts_one(pair: Pair) -> None:
    """With one key exactly one of two tickets is accepted, whichever process is asked."""
    bought = await codes(pair[0], 40)
    both = list(zip(bought[::2], bought[1::2], strict=True))
    found = await answers(
        pair[turn].check_ins.check_in(Scan(two[turn]), f"k{at}")
        for at, two in enumerate(both)
        for turn in (0, 1)
    )
    for at in range(len(both)):
        (lost,) = refused(found[2 * at : 2 * at + 2])
        assert lost.code == "idempotency_key_reused"


async def test_control_reading_before_checking_in_accepts_twice(database: Database) -> None:
    """Control: reading that a ticket is unused and then accepting it accepts it twice."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE stub (used_at timestamptz)")
        await sides.one.execute("INSERT INTO stub VALUES (NULL)")
        look = "SELECT used_at IS NULL FROM stub"
        let_in = "UPDATE stub SET used_at = clock_timestamp() RETURNING true"
        async with sides.one.transaction():
            assert await sides.one.fetchval(look)
            assert await sides.other.fetchval(look)
            assert await sides.one.fetchval(let_in)
            async with sides.other_waits(let_in) as letting_in:
                await sides.one.execute("COMMIT; BEGIN")
                assert await letting_in
