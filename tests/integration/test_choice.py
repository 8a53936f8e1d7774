"""The choice of the best seats, compared with a model that tries every place."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontrow.db.server import EmbeddedServer
from testkit.database import Database, fresh_database
from tests.integration.choice_model import House, Section


class SeatRequest(NamedTuple):
    """A request: a count, a section (``None``: any), and whether the seats must be adjacent."""

    seats: int
    section: int | None
    together: bool


class Answer(NamedTuple):
    """The chosen seats, or what is free instead, or nothing: the wish is to be sent again."""

    seats: list[int]
    available: int | None
    together: int | None


class ShowOnSale:
    """One show whose seats are marked as sold when they are chosen."""

    def __init__(self, connection: Any, sections: Sequence[Section], house: House) -> None:
        self.connection = connection
        self.sections = sections
        self.house = house
        self.show_id = uuid4()
        self.starts: dict[tuple[int | None, int], int] = {}
        """Where the search begins, by section and number of seats."""

    async def open(self) -> None:
        """Creates the show; seats that are not free in the house are sold."""
        await self.connection.execute(
            "INSERT INTO show VALUES ($1, $2, 0, now(), now()::date, now(), $3, 1)",
            self.show_id,
            CONCERT,
            self.house.seats,
        )
        await self.connection.executemany(
            """INSERT INTO show_section (show_id, ordinal, name, price, first_number, last_number,
                seats_per_row)
            VALUES ($1, $2, $3, 1, $4, $5, $6)""",
            [
                (self.show_id, at + 1, str(at), rows[0].first, rows[-1].seats[-1], rows[0].width)
                for at, rows in enumerate(self.house.rows)
            ],
        )
        await self.connection.execute(
            """INSERT INTO seat (show_id, number, price, section, reservation_id, held_until)
            SELECT $1::uuid, n, 1, b.name, CASE WHEN taken THEN $1::uuid END,
                CASE WHEN taken THEN 'infinity'::timestamptz END
            FROM show_section AS b
            CROSS JOIN generate_series(b.first_number, b.last_number) AS n
            CROSS JOIN LATERAL (SELECT n <> ALL ($2)) AS t (taken)
            WHERE b.show_id = $1""",
            self.show_id,
            sorted(self.house.free),
        )

    async def choose(self, requests: Sequence[SeatRequest]) -> list[Answer]:
        """Chooses seats for one batch and sells them."""
        # Another search may turn seats in front of a start into the better ones.
        searches = {(request.section, request.seats) for request in requests}
        starts = self.starts if len(searches) == 1 else {}
        async with self.connection.transaction():
            row = await self.connection.fetchrow(
                "SELECT * FROM reservation_choose($1, $2, $3, $4, $5, $6, clock_timestamp())",
                list(range(1, len(requests) + 1)),
                [self.show_id] * len(requests),
                [None if request.section is None else str(request.section) for request in requests],
                [request.seats for request in requests],
                [request.together for request in requests],
                [starts.get((request.section, request.seats), 1) for request in requests],
            )
            answers = [
                Answer([] if last is None else row["seats"][last - request.seats : last], *left)
                for request, last, *left in zip(
                    requests, row["lasts"], row["available"], row["together"], strict=True
                )
            ]
            first = next((answer.seats[0] for answer in answers if answer.seats), None)
            self.starts = dict.fromkeys(searches, first) if len(searches) == 1 and first else {}
            await self.mark([n for answer in answers for n in answer.seats], taken=True)
        return answers

    async def mark(self, numbers: Sequence[int], *, taken: bool) -> None:
        """Marks seats as sold or as available."""
        await self.connection.execute(
            """UPDATE seat SET reservation_id = CASE WHEN $3 THEN $1::uuid END,
                held_until = CASE WHEN $3 THEN 'infinity'::timestamptz END
            WHERE show_id = $1 AND number = ANY ($2)""",
            self.show_id,
            numbers,
            taken,
        )


CONCERT = UUID("00000000-0000-0000-0000-00000000c0c0")
SEATS_READ = "SELECT pg_stat_get_xact_tuples_fetched('seat_pkey'::regclass)"
LONGEST = 300
ROUNDS = 20


@pytest.fixture(scope="module")
async def connection(engine: EmbeddedServer, template: Database) -> AsyncIterator[Any]:
    """A connection to a database with one concert."""
    async with fresh_database(engine, template) as database:
        owner = await asyncpg.connect(database.owner_url)
        await owner.execute(
            "INSERT INTO concert VALUES ($1, 0, 'The Test', NULL, NULL, 'UTC', 'KRW', 1, 1, now())",
            CONCERT,
        )
        # reservation_choose is a step of a hot function, which pins its plans.
        await owner.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        yield owner
        await owner.close()


@st.composite
def houses(draw: st.DrawFn) -> tuple[list[Section], set[int]]:
    """Generates sections of short rows, or of few long ones, with some seats sold."""
    short = st.builds(Section, st.integers(1, 4), st.integers(1, 12))
    long = st.builds(Section, st.integers(1, 2), st.integers(80, LONGEST))
    sections = draw(st.lists(st.one_of(short, short, long), min_size=1, max_size=4))
    seats = sum(section.rows * section.seats_per_row for section in sections)
    random = draw(st.randoms(use_true_random=False))
    share = draw(st.sampled_from([0, 0, 0.2, 0.5, 0.8, 1]))
    return sections, {number for number in range(1, seats + 1) if random.random() < share}


def requests(sections: int) -> st.SearchStrategy[list[list[SeatRequest]]]:
    """Generates batches of requests."""
    count = st.one_of(st.just(2), st.integers(1, 5), st.integers(1, 100))
    section = st.one_of(st.none(), st.integers(0, sections - 1))
    request = st.builds(SeatRequest, count, section, st.booleans())
    return st.lists(st.lists(request, min_size=1, max_size=12), min_size=1, max_size=6)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
async def test_chosen_seats_are_those_of_the_model(connection: Any, data: st.DataObject) -> None:
    """Each choice has exactly the model's seats, and a refusal has the remaining count."""
    sections, taken = data.draw(houses())
    show = ShowOnSale(connection, sections, House(sections, taken))
    await show.open()
    for batch in data.draw(requests(len(sections))):
        if data.draw(st.booleans()):
            given_back = sorted(set(range(1, show.house.seats + 1)) - show.house.free)[::3]
            await show.mark(given_back, taken=False)
            show.house.free |= set(given_back)
            show.starts.clear()
        await _answer_all(show, batch)


async def _answer_all(show: ShowOnSale, batch: Sequence[SeatRequest]) -> None:
    """Chooses until every request is answered; requests to repeat go first, as in the lane."""
    waiting = list(batch)
    for _ in range(ROUNDS):
        answers = await show.choose(waiting)
        asked = [*zip(waiting, answers, strict=True)]
        first = {(w.section, w.seats): at for at, w in reversed([*enumerate(waiting)])}
        # Wishes for the same number of seats in the same section are served together.
        for request, answer in sorted(asked, key=lambda one: first[one[0].section, one[0].seats]):
            _check(show.house, request, answer)
        waiting = [request for request, answer in asked if answer == ([], None, None)]
        if not waiting:
            return
    raise AssertionError(waiting)


def _check(house: House, request: SeatRequest, answer: Answer) -> None:
    if answer.seats:
        best = house.choose(request.section, request.seats, together=request.together)
        assert answer.seats == sorted(best or [])
    elif answer.available is not None:
        assert house.choose(request.section, request.seats, together=request.together) is None
        assert answer.available == house.available(request.section)
        assert answer.together == house.longest_run(request.section)


async def test_a_search_begins_where_the_last_one_ended(connection: Any) -> None:
    """Sold rows in front aren't read again; the control begins at the front and reads them."""
    show = ShowOnSale(connection, [Section(200, 10)], House([Section(200, 10)], set()))
    pair = SeatRequest(2, None, together=True)
    async with connection.transaction():
        await show.open()
        assert show.house.seats == 2_000
        for _ in range(4):
            await _answer_all(show, [pair] * 100)
        assert show.starts == {(None, 2): 605}
        reads = []
        for _ in range(2):
            before = await connection.fetchval(SEATS_READ)
            await _answer_all(show, [pair])
            reads.append(await connection.fetchval(SEATS_READ) - before)
            show.starts.clear()
    # From the last batch's first seat on: its own seats, and the free ones that are read at most.
    assert reads[0] <= 200 + (2 * 2 + 100) + 10
    assert reads[1] >= 800
