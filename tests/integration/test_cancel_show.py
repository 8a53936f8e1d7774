"""``frontrow cancel-show`` on a real database: it asks, refunds all buyers, can be repeated."""

import asyncio
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from frontrow.cli import main as cli
from frontrow.payments import cancellations
from testkit.database import Database
from tests.buyers import ConcertOnSale, make_concert, services_on
from tests.races.crowds import crowd

PRICE = 50_000


async def sold_out(database: Database, seats: int) -> ConcertOnSale:
    """Creates a show with a buyer for each seat."""
    async with services_on(database) as services:
        made = await make_concert(services, seats=seats, price=PRICE)
        places = await crowd(services, made.concert_id, seats, balance=PRICE)
        for seat, place in enumerate(places, 1):
            held, _ = await services.reservations.hold(place, made.shows[0], [seat], None)
            await services.payments.pay(place, held.reservation_id, PRICE, None)
        return made


async def run(database: Database, show_id: UUID, *options: str, answer: str = "") -> Result:
    """Runs the command in a thread of this process."""
    arguments = ["cancel-show", str(show_id), f"--database-url={database.app_url}", *options]
    return await asyncio.to_thread(CliRunner().invoke, cli.main, arguments, input=answer)


async def test_cancellation_asks_first(database: Database) -> None:
    """The question names the show and the amount; without a yes nothing is changed."""
    made = await sold_out(database, 3)
    show_id = made.shows[0].show_id
    refused = await run(database, show_id, answer="n\n")
    assert refused.exit_code == 130
    assert "The Test, " in refused.output
    assert ": 3 seats sold for 150,000\nCancel it and refund everybody?" in refused.output
    async with services_on(database) as services:
        assert await services.cancellations.running() == []
        assert (await services.cancellations.at_stake(show_id)).cancelled_at is None
    agreed = await run(database, show_id, answer="y\n")
    assert agreed.exit_code == 0
    assert agreed.output.endswith(
        "cancelled: 3 of 3 payments refunded, 150,000 in total; 3 seats\n"
    )


async def test_interrupted_cancellation_can_be_repeated(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run is interrupted, and the next run, which does not ask again, completes it."""
    monkeypatch.setattr(cancellations, "_STEP_TICKETS", 4)
    made = await sold_out(database, 10)
    show_id = made.shows[0].show_id
    step = cancellations.Cancellations.step

    async def interrupted(self: cancellations.Cancellations, which: UUID) -> str:
        if (await self.progress(which)).payments_refunded >= 4:
            raise KeyboardInterrupt
        return await step(self, which)

    with monkeypatch.context() as patched:
        patched.setattr(cancellations.Cancellations, "step", interrupted)
        assert (await run(database, show_id, "--yes")).exit_code == cli.INTERRUPTED
    async with services_on(database) as services:
        half = await services.cancellations.progress(show_id)
        assert (half.state, half.payments_refunded) == ("cancelling", 4)
    for _ in range(2):
        done = await run(database, show_id)
        assert done.exit_code == 0
        assert done.output == "cancelled: 10 of 10 payments refunded, 500,000 in total; 10 seats\n"


async def test_unknown_show_is_refused(database: Database) -> None:
    """An unknown show or an invalid id is a wrong argument."""
    for show_id in (str(uuid4()), "7"):
        result = await asyncio.to_thread(
            CliRunner().invoke,
            cli.main,
            ["cancel-show", show_id, f"--database-url={database.app_url}", "--yes"],
        )
        assert result.exit_code == cli.USAGE
        assert "SHOW_ID" in result.stderr
