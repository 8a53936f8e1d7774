"""Check-in: a ticket is accepted once; and what is refused."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from frontrow.errors import (
    AlreadyCheckedIn,
    IdempotencyKeyReused,
    NotFound,
    TicketVoid,
    WrongShow,
)
from frontrow.keys.ring import end, rotate
from frontrow.payments import ticket_signing
from frontrow.payments.check_in import CheckIn, Scan
from frontrow.payments.scanned_text import LETTER_CASE
from frontrow.payments.ticket_code import TicketCode, read
from frontrow.payments.ticket_signing import PURPOSE, load_ticket_signer, new_key
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import Owner, make_concert, pass_time, refused, services_on
from tests.integration.features.buying import purchase


async def code_of_a_ticket(services: Services, seat: int = 7, **concert: Any) -> str:
    """Returns the code of a newly bought ticket."""
    _, payment = await purchase(services, await make_concert(services, **concert), [seat])
    return str(payment.tickets[0].code)


async def void(owner: Owner, code: str, reason: str) -> None:
    """Makes a ticket void."""
    await owner.execute(
        "UPDATE ticket SET void_at = clock_timestamp(), void_reason = $2 WHERE ticket_id = $1",
        read(code)[0].ticket_id,
        reason,
    )


def refusal_fields(done: CheckIn) -> dict[str, Any]:
    """Returns the fields of the refusal of a ticket that is checked in."""
    fields = msgspec.structs.asdict(done)
    return fields | {"concert_title": fields.pop("title")}


async def test_ticket_is_checked_in(services: Services, owner: Owner) -> None:
    """The gate gets the ticket's data; its owner sees that it is used."""
    made = await make_concert(services)
    place, payment = await purchase(services, made, [7, 8])
    bought = payment.tickets[0]
    done, replayed = await services.check_ins.check_in(Scan(str(bought.code), "North 2"), None)
    assert not replayed
    show = made.shows[0]
    assert (done.ticket_id, done.number, done.section) == (bought.ticket_id, 7, None)
    assert (done.show_id, done.date, done.starts_at) == (show.show_id, show.date, show.starts_at)
    assert (done.concert_id, done.title, done.gate) == (made.concert_id, "The Test", "North 2")
    row = await owner.fetchrow("SELECT * FROM ticket WHERE ticket_id = $1", bought.ticket_id)
    assert (row["checked_in_at"], row["gate"]) == (done.checked_in_at, "North 2")
    tickets = await services.tickets.of_user(place.user_id, limit=10)
    assert [ticket.state for ticket in tickets] == ["used", "valid"]
    assert tickets[0].checked_in_at == done.checked_in_at
    assert tickets[0].code == bought.code


async def test_ticket_is_checked_in_once(services: Services, database: Database) -> None:
    """A second scan gets time, gate, show and seat of the first one, however it was typed."""
    code = await code_of_a_ticket(services)
    done, _ = await services.check_ins.check_in(Scan(code, "North 2"), None)
    for scan in (Scan(code), Scan(code, "South 1"), Scan(f"]q1{code.swapcase()}\r\n")):
        async with refused(database, AlreadyCheckedIn, **refusal_fields(done)):
            await services.check_ins.check_in(scan, None)


def code_prefix(key_id: str) -> str:
    """Returns the first characters of the codes of a key."""
    return TicketCode(key_id, UUID(int=0), UUID(int=0), 1).signed(bytes(64))[:7]


async def test_code_that_two_keyboards_may_have_typed(services: Services) -> None:
    """Without "-" and "_" only the signature decides whether Y and Z were exchanged."""
    # Every code has the key's id, which may have one of these itself.
    keys = iter(new_key, None)
    plain = next(key for key in keys if not {"-", "_"} & set(code_prefix(key.key_id)))
    await rotate(services.pool, PURPOSE, plain, lead_seconds=0)
    signer = await load_ticket_signer(services.pool)
    seats = [(uuid4(), uuid4(), number) for number in range(1, 2_000)]
    codes = zip(seats, await signer.codes(seats), strict=True)
    ambiguous = [(seat, code) for seat, code in codes if not {"-", "_"} & set(code)]
    assert len(ambiguous) > 2
    for seat, code in ambiguous:
        for typed in (code, code.translate(str.maketrans("yzYZ", "zyZY"))):
            assert (await signer.read(typed))[1:] == seat


async def test_repeated_scan_with_its_key_is_accepted(
    services: Services, database: Database
) -> None:
    """Same key, same scan: the first answer, also if the ticket is void or a day has passed."""
    code, other = await code_of_a_ticket(services), await code_of_a_ticket(services)
    done, _ = await services.check_ins.check_in(Scan(code, "A"), "k")
    assert await services.check_ins.check_in(Scan(code, "A"), "k") == (done, True)
    for scan in (Scan(code, "B"), Scan(code), Scan(other, "A")):
        async with refused(database, IdempotencyKeyReused):
            await services.check_ins.check_in(scan, "k")
    async with refused(database, AlreadyCheckedIn, **refusal_fields(done)):
        await services.check_ins.check_in(Scan(code, "A"), "l")
    # After a refusal the key may be used again.
    await services.check_ins.check_in(Scan(other, "A"), "l")
    await pass_time(database, 3_600)
    again, replayed = await services.check_ins.check_in(Scan(code, "A"), "k")
    assert replayed
    assert again.ticket_id == done.ticket_id


async def test_gate_accepts_only_its_show(services: Services, database: Database) -> None:
    """A ticket of another show or concert is refused, and accepted at its own gate."""
    made = await make_concert(services, shows=2)
    _, payment = await purchase(services, made, [7])
    code = str(payment.tickets[0].code)
    mine: dict[str, Any] = {"show_id": made.shows[0].show_id, "concert_id": made.concert_id}
    wrong: dict[str, Any]
    for wrong in (
        {"show_id": made.shows[1].show_id},
        {"concert_id": uuid4()},
        mine | {"show_id": uuid4()},
        mine | {"concert_id": uuid4()},
    ):
        async with refused(database, WrongShow, **mine):
            await services.check_ins.check_in(Scan(code, **wrong), None)
    await services.check_ins.check_in(Scan(code, **mine), None)


@pytest.mark.parametrize("reason", ["refunded", "show_cancelled"])
async def test_void_ticket_is_refused(
    services: Services, database: Database, owner: Owner, reason: str
) -> None:
    """It is refused with the reason, has no code any more, and its owner sees the reason."""
    made = await make_concert(services)
    place, payment = await purchase(services, made, [7])
    bought = payment.tickets[0]
    await void(owner, str(bought.code), reason)
    async with refused(database, TicketVoid, reason=reason):
        await services.check_ins.check_in(Scan(str(bought.code)), None)
    ticket = await services.tickets.ticket(place.user_id, bought.ticket_id)
    assert (ticket.state, ticket.void_reason, ticket.code) == ("void", reason, None)
    assert ticket.void_at is not None


async def test_used_ticket_that_becomes_void(services: Services, owner: Owner) -> None:
    """It is void and has its check-in time; the check-in's key still returns it."""
    made = await make_concert(services)
    place, payment = await purchase(services, made, [7])
    code = str(payment.tickets[0].code)
    done, _ = await services.check_ins.check_in(Scan(code), "k")
    await void(owner, code, "show_cancelled")
    (ticket,) = await services.tickets.of_user(place.user_id, limit=10)
    assert (ticket.state, ticket.checked_in_at) == ("void", done.checked_in_at)
    assert await services.check_ins.check_in(Scan(code), "k") == (done, True)


async def test_invalid_codes_are_refused(services: Services, database: Database) -> None:
    """Cut, altered, invented, or signed by another key: no such ticket."""
    code = await code_of_a_ticket(services)
    said, signature = read(code)
    forged = [
        "",
        code[:-1],
        code + "A",
        code[:70],
        code.upper(),
        said._replace(ticket_id=uuid4()).signed(signature),
        said._replace(number=8).signed(signature),
        said._replace(key_id="00000000").signed(signature),
        code[:-1] + ("A" if code[-1] != "A" else "B"),
        "\0" * 140,
        "é" * 140,
    ]
    for one in forged:
        async with refused(database, NotFound):
            await services.check_ins.check_in(Scan(one), None)
    await services.check_ins.check_in(Scan(code), None)


async def test_valid_code_of_a_missing_ticket(services: Services, database: Database) -> None:
    """For example of a database that was restored to an earlier time."""
    key = services.tickets.signer.ring.signing
    (code,) = await services.tickets.signer.codes([(uuid4(), uuid4(), 1)])
    assert read(code)[0].key_id == key.key_id
    async with refused(database, NotFound):
        await services.check_ins.check_in(Scan(code), None)


async def test_codes_of_an_older_key(services: Services, database: Database) -> None:
    """They are accepted until that key is retired; then their owners get new ones."""
    made = await make_concert(services)
    place, payment = await purchase(services, made, [7, 8])
    first, second = (str(ticket.code) for ticket in payment.tickets)
    old = read(first)[0].key_id
    ring = services.tickets.signer.ring
    await rotate(services.pool, PURPOSE, new_key(), lead_seconds=0)
    await ring.refresh()
    tickets = await services.tickets.of_user(place.user_id, limit=10)
    assert [ticket.code for ticket in tickets] != [first, second]
    await services.check_ins.check_in(Scan(first), None)
    await end(services.pool, PURPOSE, old)
    # Even by a process that hasn't read it yet.
    assert old in ring.keys
    async with refused(database, NotFound):
        await services.check_ins.check_in(Scan(second), None)
    await ring.refresh()
    async with refused(database, NotFound):
        await services.check_ins.check_in(Scan(second), None)
    await services.check_ins.check_in(Scan(str(tickets[1].code)), None)


async def test_altered_code_that_still_names_a_key_is_explained(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another case of the letters may leave the key's id as it was: the case is named."""
    code = await code_of_a_ticket(services)
    altered = read(code)[0].signed(bytes(64))
    monkeypatch.setattr(ticket_signing, "possible_codes", lambda _: (altered,))
    with pytest.raises(NotFound, match=LETTER_CASE):
        await services.check_ins.check_in(Scan(code.upper()), None)


async def test_key_of_another_process_is_read(services: Services, database: Database) -> None:
    """A process that gets a code of an unknown key reads the keys again."""
    made = await make_concert(services)
    place, payment = await purchase(services, made, [7])
    await rotate(services.pool, PURPOSE, new_key(), lead_seconds=0)
    async with services_on(database) as other:
        (ticket,) = await other.tickets.of_user(place.user_id, limit=1)
    assert ticket.code != payment.tickets[0].code
    assert read(str(ticket.code))[0].key_id not in services.tickets.signer.ring.keys
    services.tickets.signer.ring._read_at = float("-inf")  # read long ago
    done, _ = await services.check_ins.check_in(Scan(str(ticket.code)), None)
    assert done.ticket_id == payment.tickets[0].ticket_id


async def test_many_codes_are_signed_in_order(services: Services) -> None:
    """As many that they are signed in a thread: the same codes, in order."""
    seats = [(uuid4(), uuid4(), number) for number in range(1, 101)]
    signer = services.tickets.signer
    codes = await signer.codes(seats)
    for seat, code in zip(seats, codes, strict=True):
        assert [code] == await signer.codes([seat])
        assert await signer.read(code) == TicketCode(signer.ring.signing.key_id, *seat)


async def test_code_with_another_signature_is_refused(
    services: Services, database: Database
) -> None:
    """The signature of another ticket, or an altered one, makes a code invalid."""
    code, other = await services.tickets.signer.codes([(uuid4(), uuid4(), n) for n in (1, 2)])
    said, signature = read(code)
    for wrong in (read(other)[1], bytes(64), signature[:-1] + bytes([signature[-1] ^ 1])):
        async with refused(database, NotFound):
            await services.tickets.signer.read(said.signed(wrong))
