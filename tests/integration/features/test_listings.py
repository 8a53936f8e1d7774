"""The list of concerts in pages, with search; each page and concert read once a second at most."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from frontrow import listings
from frontrow.concerts.model import ConcertChange, NewConcert, NewShow
from frontrow.errors import NotFound, Overloaded
from frontrow.listings import ListQuery
from frontrow.services import Services
from frontrow.waiting_room.policy import OpenPolicy
from frontrow.waiting_room.settings import RoomSettings
from testkit.database import Database
from tests.buyers import Owner, services_on

TODAY = datetime.now(UTC).replace(hour=3, minute=0)


async def put_on_sale(
    services: Services, title: str, *days: int, ends: datetime | None = None, **fields: Any
) -> UUID:
    """Creates a concert with a show on each of these days from now."""
    shows = [
        NewShow(starts_at=TODAY + timedelta(days=day), price=50_000, sales_end_at=ends)
        for day in days or (30,)
    ]
    made, _ = await services.concerts.create(
        NewConcert(title=title, timezone="UTC", shows=shows, **fields),
        RoomSettings(policy=OpenPolicy()),
        None,
    )
    await services.rooms.snapshot.refresh()
    return made.concert_id


async def titles(services: Services, **query: Any) -> list[str]:
    """Returns the titles of a page, read now."""
    services.listings.changed()
    return [each.title for each in (await services.listings.page(ListQuery(**query))).concerts]


async def test_pages_have_every_concert_once(services: Services) -> None:
    """In one order, also where several have the same date; the last page has no next one."""
    made = {f"{n}": await put_on_sale(services, f"{n}", 10 + n // 3) for n in range(7)}
    made["past"] = await put_on_sale(services, "past", -3)
    seen, sizes, after = [], [], None
    while True:
        page = await services.listings.page(ListQuery(limit=3, after=after))
        seen += [each.concert_id for each in page.concerts]
        sizes.append(len(page.concerts))
        after = page.next
        if after is None:
            break
    assert sizes == [3, 3, 2]
    by_day = [sorted(made[f"{n}"] for n in group) for group in ((0, 1, 2), (3, 4, 5), (6,))]
    assert seen == [*by_day[0], *by_day[1], *by_day[2], made["past"]]


async def test_exact_last_page_has_no_next(services: Services) -> None:
    """Also if it is full; a page behind the last one is empty."""
    for n in range(2):
        await put_on_sale(services, f"{n}", n + 1)
    page = await services.listings.page(ListQuery(limit=2))
    assert (len(page.concerts), page.next) == (2, None)
    behind = await services.listings.page(ListQuery(after=f"30000000.{uuid4().hex}"))
    assert (behind.concerts, behind.next) == ([], None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lantern", ["Lanterns on the Han"]),
        ("LANTERNS  on", ["Lanterns on the Han"]),
        ("straße", ["Die STRASSE"]),
        ("ＪＡＺＺ", ["Jazz at noon"]),
        ("moonrise", ["Lanterns on the Han"]),
        ("예술의전당", ["Jazz at noon"]),
        ("전당", ["Jazz at noon"]),
        ("100%", ["Jazz at noon"]),
        ("%", ["Jazz at noon"]),
        ("_", []),
        ("han\nmoon", []),
        ("nothing like it", []),
    ],
)
async def test_search(services: Services, text: str, found: list[str]) -> None:
    """A part of the title, artist or venue, in any case and width; no pattern."""
    await put_on_sale(services, "Lanterns on the Han", 1, artist="Moonrise Quartet")
    await put_on_sale(services, "Die STRASSE", 2)
    await put_on_sale(services, "Jazz at noon", 3, artist="The 100%", venue="예술의전당 콘서트홀")
    assert await titles(services, text=text) == found


async def test_new_title_is_found(services: Services) -> None:
    """Its old one is not; artist and venue are."""
    made = await put_on_sale(services, "Before", artist="Same Artist", venue="Same Hall")
    await services.concerts.change(made, ConcertChange(title="After\N{NO-BREAK SPACE}ALL"))
    assert await titles(services, text="before") == []
    for text in ("after all", "same artist", "same hall"):
        assert await titles(services, text=text) == ["After\N{NO-BREAK SPACE}ALL"]


async def test_period(services: Services) -> None:
    """Concerts with a show within it, on its first and last day too; not cancelled ones."""
    await put_on_sale(services, "early", 1, 2)
    await put_on_sale(services, "around", 3, 9)
    cancelled = await put_on_sale(services, "cancelled", 5)
    (show,) = (await services.catalogue.shows(cancelled)).shows
    await services.cancellations.cancel(show.show_id)

    def day(number: int) -> date:
        return (TODAY + timedelta(days=number)).date()

    for first, last, found in (
        (1, 1, ["early"]),
        (2, 3, ["early", "around"]),
        (4, 8, []),
        (9, None, ["around"]),
        (None, 2, ["early"]),
        (9, 1, []),
    ):
        period = {
            "first": None if first is None else day(first),
            "last": None if last is None else day(last),
        }
        assert await titles(services, **period) == found, (first, last)
    assert await titles(services) == ["early", "around", "cancelled"]


async def test_ended_sale_moves_a_concert(services: Services, owner: Owner) -> None:
    """By upkeep, which reads only the concerts whose sale has ended since the last time."""
    now = await owner.fetchval("SELECT clock_timestamp()")
    await put_on_sale(services, "ends", 1, ends=now + timedelta(seconds=1))
    await put_on_sale(services, "goes on", 2, 5)
    assert await titles(services) == ["ends", "goes on"]
    ranks = await owner.fetch("SELECT title, xmin::text FROM concert")
    async with asyncio.timeout(60):
        while await titles(services) == ["ends", "goes on"]:
            await asyncio.sleep(0.05)
            await services.catalogue.list_due()
    assert await titles(services) == ["goes on", "ends"]
    after = {
        row["title"]: row["xmin"]
        for row in await owner.fetch("SELECT title, xmin::text FROM concert")
    }
    assert [row["title"] for row in ranks if after[row["title"]] != row["xmin"]] == ["ends"]


async def test_changed_sale_moves_a_concert_at_once(services: Services) -> None:
    """An end of sale, added shows and a cancellation, each in the transaction of the change."""
    first = await put_on_sale(services, "first", 1)
    await put_on_sale(services, "second", 2)
    (show,) = (await services.catalogue.shows(first)).shows
    await services.concerts.end_sale(show.show_id, TODAY - timedelta(days=1))
    assert await titles(services) == ["second", "first"]
    added, _ = await services.concerts.add_shows(
        first, [NewShow(starts_at=TODAY + timedelta(days=1, hours=5), price=1)], None
    )
    assert await titles(services) == ["first", "second"]
    await services.cancellations.cancel(added.shows[0].show_id)
    assert await titles(services) == ["second", "first"]


async def test_page_is_read_once_a_second(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Concurrent and repeated calls share a read and its result; a change here reads again."""
    read = services.catalogue.concerts
    reads = 0

    async def counted(**query: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(**query)

    monkeypatch.setattr(services.catalogue, "concerts", counted)
    pages = await asyncio.gather(*(services.listings.page(ListQuery()) for _ in range(50)))
    assert len({id(page) for page in pages}) == 1
    assert reads == 1
    await services.listings.page(ListQuery(text="x"))
    assert reads == 2
    await put_on_sale(services, "new")
    assert [each.title for each in (await services.listings.page(ListQuery())).concerts] == ["new"]
    assert reads == 3


async def test_page_is_read_again_after_a_second(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the changes of another process are seen."""
    monkeypatch.setattr(listings, "_KEPT_SECONDS", 0.05)
    async with services_on(database) as other:
        assert (await other.listings.page(ListQuery())).concerts == []
        await put_on_sale(services, "elsewhere")
        async with asyncio.timeout(60):
            while not (page := await other.listings.page(ListQuery())).concerts:  # noqa: ASYNC110 - the cache has no event
                await asyncio.sleep(0.01)
        assert page.concerts[0].title == "elsewhere"


async def test_searches_at_once_are_bounded(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are read at a time, some wait, more are refused; afterwards all is as before."""
    release, most, running = asyncio.Event(), 0, 0

    async def slow(**_query: Any) -> list[Any]:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        return []

    monkeypatch.setattr(services.catalogue, "concerts", slow)
    calls = [
        asyncio.create_task(services.listings.page(ListQuery(text=f"{n}"))) for n in range(120)
    ]
    await asyncio.sleep(0.05)
    release.set()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    refused = [one for one in ended if isinstance(one, Overloaded)]
    assert (len(refused), most) == (20, 2)
    assert (await services.listings.page(ListQuery(text="x"))).concerts == []


async def test_first_page_waits_behind_no_search(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many searches are waiting, the first page of any size is read."""
    release, read = asyncio.Event(), services.catalogue.concerts

    async def slow(**query: Any) -> list[Any]:
        if query["text"] is not None:
            await release.wait()
        return await read(**query)

    monkeypatch.setattr(services.catalogue, "concerts", slow)
    calls = [
        asyncio.create_task(services.listings.page(ListQuery(text=f"{n}"))) for n in range(120)
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await services.listings.page(ListQuery(limit=7))
    release.set()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_concert_with_its_description(services: Services) -> None:
    """Description, poster, age limit and shows; each can be changed and removed."""
    made = await put_on_sale(
        services,
        "Described",
        1,
        2,
        description="Two sets.\nDoors open at six.",
        poster_url="https://img.example.org/a.jpg",
        age_limit=12,
    )
    shown = await services.listings.concert(made)
    assert (shown.description, shown.poster_url, shown.age_limit, shown.state) == (
        "Two sets.\nDoors open at six.",
        "https://img.example.org/a.jpg",
        12,
        "open",
    )
    assert [(each.seats_available, each.sale) for each in shown.shows] == [(50, "open")] * 2
    await services.concerts.change(made, ConcertChange(description="One set.", age_limit=None))
    shown = await services.listings.concert(made)
    assert (shown.description, shown.poster_url, shown.age_limit) == (
        "One set.",
        "https://img.example.org/a.jpg",
        None,
    )
    with pytest.raises(NotFound):
        await services.listings.concert(uuid4())
