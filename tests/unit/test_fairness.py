"""The measure of how far admissions differ from the serving order."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fairness import inversions, tau_distance


@given(st.lists(st.integers(0, 30), max_size=60))
def test_inversions_are_the_descending_pairs(values: list[int]) -> None:
    """The count equals that of comparing all pairs; equal values are no inversion."""
    assert inversions(values) == sum(a > b for a, b in combinations(values, 2))


def test_inversions_of_known_orders() -> None:
    """0 in order or at the same time, all pairs in reverse, 1 for two exchanged values."""
    assert inversions([]) == 0
    assert inversions([1, 2, 3, 4]) == 0
    assert inversions([1, 1, 1]) == 0
    assert inversions([4, 3, 2, 1]) == 6
    assert inversions([1, 3, 2, 4]) == 1
    assert inversions(range(1000, 0, -1)) == 1000 * 999 // 2


def test_tau_distance_is_the_share_of_inversions() -> None:
    """0 in order or without pairs, 1 in reverse."""
    assert [tau_distance(order) for order in ([], [7], [1, 2, 3], [3, 2, 1])] == [0, 0, 0, 1]
