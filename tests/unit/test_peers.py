"""The figures of Frontrow beside the textbook system (benchmarks/peers)."""

from uuid import UUID

import pytest

from benchmarks.load import Result
from benchmarks.peers.calls import Call, posts, seat_each
from benchmarks.peers.comparison import GOALS, Row, Rush, Turn, compare, markdown


def turn(system: str, per_second: float, p50_ms: float = 2.0, call: Call = "hold") -> Turn:
    """A turn with this throughput and median response time."""
    return Turn(system, call, Result(per_second, p50_ms, 9.0, 150.0, 1000, 0), 20.0)


def test_ratio_is_the_median_of_the_turns() -> None:
    """Turns of one position are paired, and each system's row is its own median turn."""
    ours = [turn("Frontrow", 900), turn("Frontrow", 3000), turn("Frontrow", 1000)]
    theirs = [turn("textbook", 100, 8), turn("textbook", 150, 8), turn("textbook", 50, 8)]
    (row,) = compare([x for pair in zip(ours, theirs, strict=True) for x in pair])
    assert (row.ratio, row.p50_ratio) == (20.0, 4.0)
    assert (row.frontrow, row.textbook) == (ours[2], theirs[0])
    assert row.met


def test_calls_are_in_order_and_those_that_did_not_run_are_left_out() -> None:
    """Whatever the order of the turns."""
    calls: tuple[Call, ...] = ("pay", "poll")
    turns = [turn(system, 100, call=call) for call in calls for system in ("Frontrow", "textbook")]
    rows = compare(turns)
    assert [row.call for row in rows] == ["poll", "pay"]
    assert not any(row.met for row in rows)


def test_unpaired_turn_is_refused() -> None:
    """A ratio needs both systems."""
    with pytest.raises(ValueError, match="shorter"):
        compare([turn("Frontrow", 100), turn("Frontrow", 100), turn("textbook", 10)])


def test_call_without_a_goal_meets_it() -> None:
    """Refused holds are only reported."""
    assert "refused hold" not in GOALS
    one = turn("Frontrow", 1, call="refused hold")
    assert Row("refused hold", one, one, 1.0, 1.0).met


def test_table_for_the_documents() -> None:
    """Load, one user alone, and the rush."""
    rows = compare([turn("Frontrow", 1600), turn("textbook", 100, 8)])
    rushes = [Rush("Frontrow", 20_000, 4.0, 50, 50, 0)]
    assert markdown(rows, rows, rushes).splitlines() == [
        "| call | system | requests/s | p50 ms | p99 ms | server µs | database µs | times | goal |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| hold | Frontrow | 1,600 | 2.0 | 9.0 | 150 | 20 | 16.0 | 15 |",
        "| hold | textbook | 100 | 8.0 | 9.0 | 150 | 20 |  |  |",
        "",
        "| one user alone, p50 ms | Frontrow | textbook | times |",
        "| --- | --- | --- | --- |",
        "| hold | 2.00 | 8.00 | 4.0 |",
        "",
        "| a rush | requests | seats | held | sold twice | requests/s |",
        "| --- | --- | --- | --- | --- | --- |",
        "| Frontrow | 20,000 | 50 | 50 | 0 | 5,000 |",
    ]


def test_users_ask_for_all_seats_in_turn() -> None:
    """With more users than seats, several ask for each seat."""
    show_id = UUID(int=1)
    requests = posts("/reservations", ["a", "b", "c"], seat_each(show_id, users=3, seats=2))
    assert [request.token for request in requests] == ["a", "b", "c"]
    assert [request.body[-4:] for request in requests] == [b"[1]}", b"[2]}", b"[1]}"]
