"""The choice of the best seats, compared with a model that tries every possible run."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontrow.db.server import EmbeddedServer
from testkit.database import Database
from tests.integration.choice_model import House, Section
from tests.integration.databases import fresh_database


class Wish(NamedTuple):
    """A request: a count, a section (``None``: any), and whether the seats must be adjacent."""

    seats: int
    section: int | None
    together: bool


class Answer(NamedTuple):
    """The answer of the database to a request."""

    outcome: str
    seats: list[int]
    available: int | None
    together: int | None


class Booth:
    """One show whose seats are marked as sold when they are chosen."""

    def __init__(self, connection: Any, sections: Sequence[Section], house: House) -> None:
        self.connection = connection
        self.sections = sections
        self.house = house
        self.show_id = uuid4()

    async def open(self) -> None:
        """Puts the show on sale; the seats that are taken in the house are sold."""
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
            """INSERT INTO seat (show_id, number, price, reservation_id, held_until)
            SELECT $1::uuid, n, 1, CASE WHEN taken THEN $1::uuid END,
                CASE WHEN taken THEN 'infinity'::timestamptz END
            FROM generate_series(1, $2) AS n
            CROSS JOIN LATERAL (SELECT n <> ALL ($3)) AS t (taken)""",
            self.show_id,
            self.house.seats,
            sorted(self.house.free),
        )

    async def choose(self, wishes: Sequence[Wish]) -> list[Answer]:
        """Chooses seats for one batch and marks them as sold."""
        async with self.connection.transaction():
            row = await self.connection.fetchrow(
                """WITH a AS (SELECT * FROM reservation_areas($1, $2))
                SELECT c.* FROM a CROSS JOIN LATERAL reservation_choose(
                    a.areas, $3, $4, a.area_from, a.area_to, a.members, a.shows, a.ordinals,
                    clock_timestamp()
                ) AS c""",
                [self.show_id] * len(wishes),
                [None if wish.section is None else str(wish.section) for wish in wishes],
                [wish.seats for wish in wishes],
                [wish.together for wish in wishes],
            )
            seats: list[list[int]] = [[] for _ in wishes]
            for item, first, count in zip(
                row["piece_items"], row["piece_firsts"], row["piece_counts"], strict=True
            ):
                seats[item - 1] += range(first, first + count)
            answers = [
                Answer(*answer)
                for answer in zip(
                    row["outcomes"], seats, row["available"], row["together"], strict=True
                )
            ]
            await self.mark(
                [n for answer in answers if answer.outcome == "chosen" for n in answer.seats],
                taken=True,
            )
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

    async def expire_search_starts(self) -> None:
        """Makes the stored starting points of the search expire."""
        await self.connection.execute(
            "UPDATE section_search SET searched_at = searched_at - interval '1 second'"
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


def wishes(sections: int) -> st.SearchStrategy[list[list[Wish]]]:
    """Generates batches of requests."""
    count = st.one_of(st.just(2), st.integers(1, 5), st.integers(1, 100))
    section = st.one_of(st.none(), st.integers(0, sections - 1))
    wish = st.builds(Wish, count, section, st.booleans())
    return st.lists(st.lists(wish, min_size=1, max_size=12), min_size=1, max_size=6)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
async def test_chosen_seats_are_those_of_the_model(connection: Any, data: st.DataObject) -> None:
    """Each choice has exactly the model's seats, and a refusal has the remaining count."""
    sections, taken = data.draw(houses())
    booth = Booth(connection, sections, House(sections, taken))
    await booth.open()
    for batch in data.draw(wishes(len(sections))):
        if data.draw(st.booleans()):
            given_back = sorted(set(range(1, booth.house.seats + 1)) - booth.house.free)[::3]
            await booth.mark(given_back, taken=False)
            booth.house.free |= set(given_back)
            await booth.expire_search_starts()
        await _answer_all(booth, batch)


async def _answer_all(booth: Booth, batch: Sequence[Wish]) -> None:
    """Chooses until every request is answered; requests to repeat go first, as in the lane."""
    waiting = list(batch)
    for _ in range(ROUNDS):
        answers = await booth.choose(waiting)
        for wish, answer in zip(waiting, answers, strict=True):
            _check(booth.house, wish, answer)
        asked = zip(waiting, answers, strict=True)
        waiting = [wish for wish, answer in asked if answer.outcome == "again"]
        if not waiting:
            return
    raise AssertionError(waiting)


def _check(house: House, wish: Wish, answer: Answer) -> None:
    if answer.outcome == "again":
        return
    best = house.choose(wish.section, wish.seats, together=wish.together)
    if answer.outcome == "chosen":
        assert sorted(answer.seats) == sorted(best or [])
    else:
        assert answer.outcome == "seats_unavailable"
        assert best is None
        assert answer.available == house.available(wish.section)
        assert answer.together == house.longest_run(wish.section)


async def test_full_sections_are_not_read_again(connection: Any) -> None:
    """Also if one batch started a section and the next one filled it."""
    sections = [Section(1, 10)] * 12
    booth = Booth(connection, sections, House(sections, set()))
    pair = Wish(2, None, together=True)
    read = []
    async with connection.transaction():
        await booth.open()
        for _ in range(5 * len(sections) // 3):
            await connection.execute("UPDATE section_search SET searched_at = clock_timestamp()")
            before = await connection.fetchval(SEATS_READ)
            await _answer_all(booth, [pair] * 3)
            read.append(await connection.fetchval(SEATS_READ) - before)
    assert booth.house.free == set()
    # Each batch marks six seats, in at most two sections.
    assert min(read) > 6, read
    assert max(read) <= 6 + 2 * 10, read
