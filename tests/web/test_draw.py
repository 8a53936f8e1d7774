"""A draw as everybody sees it over HTTP: what is shown when, to whom, and for how long."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from frontrow.verification import draw_address, read_token, verify
from frontrow.waiting_room.token import ISSUER
from testkit.desk import BASE, Concert, Desk, Fan, Json, check_problem, eventually
from tests import draws

PEOPLE = 12
CAP = {"kind": "max_active", "max_active": 2}


def soon(seconds: float) -> str:
    """A time in a moment."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def path_of(concert: Concert) -> str:
    """Where a concert's draw is."""
    return f"/concerts/{concert.concert_id}/queue/draw"


async def drawn_concert(desk: Desk, seconds: float) -> Concert:
    """A concert whose line is drawn in a while."""
    return await desk.concert(
        waiting_room={"order": "draw", "opens_at": soon(seconds), "policy": CAP}
    )


async def open_line(desk: Desk, concert: Concert) -> None:
    """Opens a line now, and waits until it is drawn."""
    await desk.owner.execute(
        "UPDATE waiting_room SET opens_at = clock_timestamp() WHERE concert_id = $1",
        UUID(concert.concert_id),
    )

    async def is_drawn() -> bool:
        return bool((await desk.ask("GET", path_of(concert))).json()["drawn_at"])

    await eventually(is_drawn)


async def seed_of(desk: Desk, concert: Concert) -> str:
    """What nobody may know before the draw."""
    seed: str = await desk.owner.fetchval(
        "SELECT seed FROM draw JOIN waiting_room USING (room_id) WHERE concert_id = $1",
        UUID(concert.concert_id),
    )
    return seed


class Drawn:
    """A line that was drawn, and who is in it."""

    def __init__(self, concert: Concert, commitment: str, fans: list[Fan]) -> None:
        self.concert = concert
        self.commitment = commitment
        self.fans = fans
        self.path = path_of(concert)


@pytest.fixture(scope="module")
async def unopened(desk: Desk) -> Concert:
    """A line that is drawn some other day, with people in it."""
    concert = await drawn_concert(desk, 86_400)
    for _ in range(3):
        await desk.waiting(concert)
    return concert


@pytest.fixture(scope="module")
async def drawn(desk: Desk) -> Drawn:
    """A line of twelve that was drawn, and one who came later."""
    concert = await drawn_concert(desk, 3_600)
    commitment = (await desk.ask("GET", path_of(concert))).json()["commitment"]
    fans = [await desk.waiting(concert) for _ in range(PEOPLE)]
    await open_line(desk, concert)
    fans.append(await desk.waiting(concert))
    return Drawn(concert, commitment, fans)


async def test_a_draw_that_is_to_come(desk: Desk, unopened: Concert) -> None:
    """Its commitment and its time; how it turns out is null, and there are no entries."""
    response = await desk.ask("GET", path_of(unopened))
    told = response.json()
    assert response.headers["cache-control"] == "public, max-age=1"
    assert told["commitment"] == draws.sum_of(await seed_of(desk, unopened))
    assert told["concert_id"] == unopened.concert_id
    assert told["committed_at"] < told["opens_at"]
    assert {name for name, value in told.items() if value is None} == {
        "drawn_at", "entrants", "digest", "seed",
    }  # fmt: skip
    check_problem(await desk.ask("GET", f"{path_of(unopened)}/entries"), 404, "not_found")


async def test_seed_is_told_to_nobody_before(desk: Desk, unopened: Concert) -> None:
    """No call shows it: neither to everybody, nor to who waits, nor to the operator."""
    seed = await seed_of(desk, unopened)
    fan = await desk.waiting(unopened)
    base, admin = f"/concerts/{unopened.concert_id}", f"/admin/concerts/{unopened.concert_id}"
    answers = [
        await desk.ask("GET", path)
        for path in (
            *(f"{base}/queue", f"{base}/queue/draw", f"{base}/queue/draw/entries", "/concerts"),
            *("//metrics", "//openapi.json", "//readyz"),
        )
    ]
    answers += [
        await fan.by_token("GET", "/queue/tokens/me"),
        await fan.by_token("GET", f"{base}/dates"),
        await fan.by_key("POST", "/queue/tokens", json={"concert_id": unopened.concert_id}),
        await fan.by_key("GET", "/users/me"),
    ]
    settings = await desk.operate("GET", f"{admin}/waiting-room")
    answers += [
        settings,
        await desk.operate("PUT", f"{admin}/waiting-room", json=settings.json()),
        *[await desk.operate("GET", f"{admin}/{what}") for what in ("stats", "order")],
        await desk.operate("GET", "/admin/audit"),
    ]
    assert [one.status_code for one in answers] == [
        *(200, 200, 404, 200, 200, 200, 200),
        *(200, 403, 200, 200),
        *(200, 200, 200, 200, 200),
    ]
    assert await seed_of(desk, unopened) == seed
    for one in answers:
        assert seed not in one.text
        assert seed not in str(one.headers)


async def test_a_draw_that_is_over(desk: Desk, drawn: Drawn) -> None:
    """Its seed, whose commitment was told before; and how it turned out."""
    response = await desk.ask("GET", drawn.path)
    told = response.json()
    assert response.headers["cache-control"] == "public, max-age=3600"
    assert told["commitment"] == drawn.commitment == draws.sum_of(told["seed"])
    assert told["entrants"] == PEOPLE
    assert told["opens_at"] <= told["drawn_at"]
    assert (await desk.ask("GET", drawn.path)).content == response.content


async def test_entries_are_those_of_the_tokens(desk: Desk, drawn: Drawn) -> None:
    """Each finds the own one by its token's `jti`, at the position that the poll tells."""
    response = await desk.ask("GET", f"{drawn.path}/entries")
    assert response.headers["cache-control"] == "public, max-age=3600"
    told = response.json()
    assert told["next"] is None
    own = [read_token(fan.token, UUID(drawn.concert.concert_id)) for fan in drawn.fans]
    assert [(one["number"], one["entry"]) for one in told["entries"]] == [
        (place.number, place.entry) for place in own[:PEOPLE]
    ]
    draw = (await desk.ask("GET", drawn.path)).json()
    ruled = draws.positions_of(draw["seed"], [one["entry"] for one in told["entries"]])
    assert [one["position"] for one in told["entries"]] == ruled
    statuses = [await fan.status() for fan in drawn.fans]
    assert [status["position"] for status in statuses] == [*ruled, PEOPLE + 1]
    called = sorted(s["position"] for s in statuses if s["state"] == "admitted")
    assert called == [1, 2]
    assert statuses[-1]["ahead"] == PEOPLE - 2


async def test_entries_name_nobody(desk: Desk, drawn: Drawn) -> None:
    """Three members an entry; no user, no place, no token is in them."""
    response = await desk.ask("GET", f"{drawn.path}/entries")
    assert {frozenset(one) for one in response.json()["entries"]} == {
        frozenset({"number", "entry", "position"})
    }
    rows = await desk.owner.fetch(
        """SELECT user_id, place_id FROM place JOIN waiting_room USING (room_id)
        WHERE concert_id = $1""",
        UUID(drawn.concert.concert_id),
    )
    assert len(rows) == PEOPLE + 1
    secrets = [str(one) for row in rows for one in row]
    secrets += [fan.token for fan in drawn.fans] + [fan.user_key for fan in drawn.fans]
    for text in (response.text, (await desk.ask("GET", drawn.path)).text):
        assert not [one for one in (*secrets, ISSUER) if one in text]


async def pages(desk: Desk, drawn: Drawn, limit: int) -> list[list[Json]]:
    """All pages, as `next` leads from one to the other."""
    found: list[list[Json]] = []
    after: int | None = 0
    while after is not None:
        path = f"{drawn.path}/entries?after={after}&limit={limit}"
        page = (await desk.ask("GET", path)).json()
        found.append(page["entries"])
        after = page["next"]
    return found


@pytest.mark.parametrize(
    ("limit", "sizes"), [(1, [1] * 12), (5, [5, 5, 2]), (6, [6, 6]), (10_000, [12])]
)
async def test_paging(desk: Desk, drawn: Drawn, limit: int, sizes: list[int]) -> None:
    """Full pages up to the last: together every number once, and no empty page at the end."""
    found = await pages(desk, drawn, limit)
    assert [len(page) for page in found] == sizes
    assert [one["number"] for page in found for one in page] == list(range(1, PEOPLE + 1))


async def test_behind_the_last_page(desk: Desk, drawn: Drawn) -> None:
    """Nothing, and no further page."""
    for after in (PEOPLE, PEOPLE + 1, 2**31 - 1):
        page = (await desk.ask("GET", f"{drawn.path}/entries?after={after}")).json()
        assert page == {"entries": [], "next": None}


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("after=-1", "after"),
        ("after=2147483648", "after"),
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=many", "limit"),
        ("before=1", "before"),
    ],
)
async def test_pages_that_cannot_be(desk: Desk, drawn: Drawn, query: str, pointer: str) -> None:
    """422, and the parameter is named."""
    response = await desk.ask("GET", f"{drawn.path}/entries?{query}")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert [one["pointer"] for one in response.json()["errors"]] == [pointer]


@pytest.mark.parametrize("path", ["/queue/draw", "/queue/draw/entries"])
async def test_no_draw(desk: Desk, path: str) -> None:
    """404 for a line that is served by arrival, and for a concert that isn't there."""
    concert = await desk.concert()
    for concert_id in (concert.concert_id, uuid4()):
        response = await desk.ask("GET", f"/concerts/{concert_id}{path}")
        check_problem(response, 404, "not_found")
        assert "cache-control" not in response.headers


async def test_called_off_and_set_up_again(desk: Desk) -> None:
    """The commitment of the first set-up is gone, and another one stands there."""
    concert = await drawn_concert(desk, 3600)
    room = f"/admin/concerts/{concert.concert_id}/waiting-room"
    first = (await desk.ask("GET", path_of(concert))).json()
    settings = {"policy": CAP, "opens_at": soon(3600)}
    await desk.operate("PUT", room, json=settings)
    check_problem(await desk.ask("GET", path_of(concert)), 404, "not_found")
    await desk.operate("PUT", room, json={**settings, "order": "draw"})
    second = (await desk.ask("GET", path_of(concert))).json()
    assert second["commitment"] != first["commitment"]
    assert second["committed_at"] > first["committed_at"]


async def test_it_can_be_verified(desk: Desk, drawn: Drawn) -> None:
    """The program that checks it from outside finds all as it should be, for everybody in it."""
    url = f"{str(desk.http.base_url).rstrip('/')}{BASE}{drawn.path}"
    address, concert_id = draw_address(url)
    for fan in drawn.fans:
        report = verify(
            address,
            concert_id,
            commitment=drawn.commitment,
            own=read_token(fan.token, concert_id),
            fetched=lambda entries, of: None,  # noqa: ARG005 - nobody looks
        )
        assert [one.passed for one in report.checks] == [True] * 6
        assert report.lines()[-1] == "verified"
