"""A draw over HTTP: what is public, when, and for how long."""

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
    """Returns a time in the near future."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def path_of(concert: Concert) -> str:
    """Returns the path of a concert's draw."""
    return f"/concerts/{concert.concert_id}/queue/draw"


async def drawn_concert(desk: Desk, seconds: float) -> Concert:
    """Creates a concert whose line is drawn later."""
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
    """Returns the seed, which is secret before the draw."""
    seed: str = await desk.owner.fetchval(
        "SELECT seed FROM draw JOIN waiting_room USING (room_id) WHERE concert_id = $1",
        UUID(concert.concert_id),
    )
    return seed


class Drawn:
    """A drawn line and its users."""

    def __init__(self, concert: Concert, commitment: str, fans: list[Fan]) -> None:
        self.concert = concert
        self.commitment = commitment
        self.fans = fans
        self.path = path_of(concert)


@pytest.fixture(scope="module")
async def unopened(desk: Desk) -> Concert:
    """A line with users that is drawn on another day."""
    concert = await drawn_concert(desk, 86_400)
    for _ in range(3):
        await desk.waiting(concert)
    return concert


@pytest.fixture(scope="module")
async def drawn(desk: Desk) -> Drawn:
    """A line of twelve that was drawn, and one user who joined later."""
    concert = await drawn_concert(desk, 3_600)
    commitment = (await desk.ask("GET", path_of(concert))).json()["commitment"]
    fans = [await desk.waiting(concert) for _ in range(PEOPLE)]
    await open_line(desk, concert)
    fans.append(await desk.waiting(concert))
    return Drawn(concert, commitment, fans)


async def test_future_draw_has_no_results(desk: Desk, unopened: Concert) -> None:
    """The commitment and the time are public; the results are null, and there are no entries."""
    response = await desk.ask("GET", path_of(unopened))
    body = response.json()
    assert response.headers["cache-control"] == "public, max-age=1"
    assert body["commitment"] == draws.sum_of(await seed_of(desk, unopened))
    assert body["concert_id"] == unopened.concert_id
    assert body["committed_at"] < body["opens_at"]
    assert {name for name, value in body.items() if value is None} == {
        "drawn_at", "entrants", "digest", "seed",
    }  # fmt: skip
    check_problem(await desk.ask("GET", f"{path_of(unopened)}/entries"), 404, "not_found")


async def test_seed_is_secret_before_the_draw(desk: Desk, unopened: Concert) -> None:
    """No call returns it: not the public ones, not those of waiting users or the operator."""
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


async def test_ended_draw_has_its_results(desk: Desk, drawn: Drawn) -> None:
    """The seed matches the earlier commitment; the results are public."""
    response = await desk.ask("GET", drawn.path)
    body = response.json()
    assert response.headers["cache-control"] == "public, max-age=3600"
    assert body["commitment"] == drawn.commitment == draws.sum_of(body["seed"])
    assert body["entrants"] == PEOPLE
    assert body["opens_at"] <= body["drawn_at"]
    assert (await desk.ask("GET", drawn.path)).content == response.content


async def test_entries_match_the_tokens(desk: Desk, drawn: Drawn) -> None:
    """Each user finds the own entry by the token's `jti`, at the position of the poll."""
    response = await desk.ask("GET", f"{drawn.path}/entries")
    assert response.headers["cache-control"] == "public, max-age=3600"
    body = response.json()
    assert body["next"] is None
    own = [read_token(fan.token, UUID(drawn.concert.concert_id)) for fan in drawn.fans]
    assert [(one["number"], one["entry"]) for one in body["entries"]] == [
        (place.number, place.entry) for place in own[:PEOPLE]
    ]
    draw = (await desk.ask("GET", drawn.path)).json()
    ruled = draws.positions_of(draw["seed"], [one["entry"] for one in body["entries"]])
    assert [one["position"] for one in body["entries"]] == ruled
    statuses = [await fan.status() for fan in drawn.fans]
    assert [status["position"] for status in statuses] == [*ruled, PEOPLE + 1]
    called = sorted(s["position"] for s in statuses if s["state"] == "admitted")
    assert called == [1, 2]
    assert statuses[-1]["ahead"] == PEOPLE - 2


async def test_entries_do_not_identify_users(desk: Desk, drawn: Drawn) -> None:
    """An entry has three members, without the user, the place or the token."""
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
    """Returns all pages by following `next`."""
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
async def test_pages_have_every_entry_once(
    desk: Desk, drawn: Drawn, limit: int, sizes: list[int]
) -> None:
    """Full pages up to the last: every number once, and no empty page at the end."""
    found = await pages(desk, drawn, limit)
    assert [len(page) for page in found] == sizes
    assert [one["number"] for page in found for one in page] == list(range(1, PEOPLE + 1))


async def test_page_after_the_last_is_empty(desk: Desk, drawn: Drawn) -> None:
    """The page is empty and there is no next one."""
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
async def test_invalid_page_is_refused(desk: Desk, drawn: Drawn, query: str, pointer: str) -> None:
    """422 with the parameter."""
    response = await desk.ask("GET", f"{drawn.path}/entries?{query}")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert [one["pointer"] for one in response.json()["errors"]] == [pointer]


@pytest.mark.parametrize("path", ["/queue/draw", "/queue/draw/entries"])
async def test_line_without_a_draw_is_not_found(desk: Desk, path: str) -> None:
    """404 for a line that is served by arrival, and for an unknown concert."""
    concert = await desk.concert()
    for concert_id in (concert.concert_id, uuid4()):
        response = await desk.ask("GET", f"/concerts/{concert_id}{path}")
        check_problem(response, 404, "not_found")
        assert "cache-control" not in response.headers


async def test_draw_that_is_set_up_again_has_a_new_commitment(desk: Desk) -> None:
    """The first commitment is removed, and a new one is stored."""
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


async def test_draw_is_verified(desk: Desk, drawn: Drawn) -> None:
    """The verification program accepts the draw, for every user in it."""
    url = f"{str(desk.http.base_url).rstrip('/')}{BASE}{drawn.path}"
    address, concert_id = draw_address(url)
    for fan in drawn.fans:
        report = verify(
            address,
            concert_id,
            commitment=drawn.commitment,
            own=read_token(fan.token, concert_id),
            fetched=lambda entries, of: None,  # noqa: ARG005 - progress is ignored
        )
        assert [one.passed for one in report.checks] == [True] * 6
        assert report.lines()[-1] == "verified"
