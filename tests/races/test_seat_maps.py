"""Changes of seats are seen in any order of the commits of their transactions."""

from typing import Any

from frontrow.ids import new_id
from frontrow.reservations.model import AddressSeats
from frontrow.reservations.queries import HoldItem, queries
from testkit.database import Database
from tests.buyers import ConcertOnSale, buyer, make_concert
from tests.integration.features.seat_map_reader import Watcher
from tests.races.conftest import Pair
from tests.races.rivals import fetch, rivals


async def _hold(connection: Any, pair: Pair, made: ConcertOnSale, seat: int) -> None:
    """Inserts a hold of a new guest, on a separate connection."""
    place = await buyer(pair[0], made.concert_id)
    (row,) = await queries.hold(
        connection,
        [
            HoldItem(
                place.room_id, place.number, place.place_id, place.user_id, made.concert_id,
                new_id(), 1, made.shows[0].show_id, 1,
            )
        ],
        seats=[seat],
        address_seats=AddressSeats(),
        unpaid_holds=20,
        unpaid_seconds=600,
    )  # fmt: skip
    assert row.outcome == "held"


async def test_older_transaction_that_commits_later_is_seen(pair: Pair, database: Database) -> None:
    """A reader that continued in between sees it; the newest number alone would miss it.

    The control reads as a client would that remembers only the newest transaction it has seen.
    """
    made = await make_concert(pair[0], seats=40)
    naive = "SELECT numbers FROM seat_change WHERE xid > $1::text::xid8"
    watchers = [Watcher(await buyer(pair[0], made.concert_id), made.shows[0]) for _ in range(2)]

    async def seen() -> list[str]:
        return [
            (await watcher.follow(process)).rstrip("a")
            for watcher, process in zip(watchers, pair, strict=True)
        ]

    assert await seen() == [""] * 2
    async with rivals(database) as two:
        older = two.one.transaction()
        await older.start()
        await _hold(two.one, pair, made, 1)
        await _hold(two.other, pair, made, 2)
        assert await seen() == ["ah"] * 2
        newest = await two.other.fetchval("SELECT max(xid::text::bigint) FROM seat_change")
        await older.commit()
        assert await fetch(database, naive, str(newest)) == []
        assert await seen() == ["hh"] * 2
        assert [watcher.changed for watcher in watchers] == [[1, 2]] * 2
        assert await seen() == ["hh"] * 2
        assert [watcher.changed for watcher in watchers] == [[], []]
