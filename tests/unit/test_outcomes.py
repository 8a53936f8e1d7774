"""The table that maps the outcomes of database functions to errors."""

from typing import ClassVar

import pytest

from frontrow.db.outcomes import REFUSALS, check
from frontrow.db.queries import Row
from frontrow.errors import DomainError, InsufficientBalance, NotFound, TokenFinished


class Answer(Row, frozen=True):
    """The answer of a database function."""

    accepted: ClassVar = frozenset({"done"})

    outcome: str
    reason: str | None = None
    balance: int = 0
    expected: int = 0
    shortfall: int = 0


def test_accepted_outcome_passes() -> None:
    """No error for what the caller accepts."""
    check(Answer("done"))


@pytest.mark.parametrize(
    ("answer", "error", "fields"),
    [
        (Answer("not_found"), NotFound, {}),
        (Answer("token_finished", reason="left"), TokenFinished, {"reason": "left"}),
        (
            Answer("insufficient_balance", balance=3, expected=5, shortfall=2),
            InsufficientBalance,
            {"balance": 3, "amount": 5, "shortfall": 2},
        ),
    ],
)
def test_refusal_becomes_its_error(
    answer: Answer, error: type[DomainError], fields: dict[str, object]
) -> None:
    """The error has its fields from the columns of the row."""
    with pytest.raises(error) as refused:
        check(answer)
    assert refused.value.fields == fields


def test_unknown_outcome_is_a_mistake_in_the_code() -> None:
    """An outcome without an error is never a refusal of the caller."""
    with pytest.raises(KeyError, match="vanished"):
        check(Answer("vanished"))


def test_outcomes_are_the_codes_of_their_errors() -> None:
    """A refusal has one name in the database and in the contract."""
    assert {refusal.error.code for refusal in REFUSALS.values()} == set(REFUSALS)
