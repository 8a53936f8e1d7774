"""Sign-in attempts: the cookie, and the values derived from it."""

import pytest

from frontrow.errors import SignInFailed
from frontrow.users.attempt import ATTEMPT_SECONDS, LONGEST_BACK, Attempt
from frontrow.users.id_token import SKEW_SECONDS


def test_derived_values_differ() -> None:
    """State, nonce, verifier and marker differ from each other and between attempts."""
    one, other = Attempt.begin("/tickets"), Attempt.begin("/tickets")
    said = [getattr(each, name) for each in (one, other) for name in ("state", "nonce", "verifier")]
    assert len({*said, one.digest, other.digest}) == 8
    assert {len(each) for each in said} == {43}


@pytest.mark.parametrize("back", ["/", "/concerts/1?show=%20&a=b", "/" + "x" * (LONGEST_BACK - 1)])
def test_cookie_restores_the_attempt(back: str) -> None:
    """With the same state and the path to return to."""
    begun = Attempt.begin(back)
    kept = Attempt(begun.kept)
    assert (kept.back, kept.state, kept.digest) == (back, begun.state, begun.digest)


@pytest.mark.parametrize(
    ("age", "counts"),
    [(0, True), (ATTEMPT_SECONDS, True), (-SKEW_SECONDS, True),
     (ATTEMPT_SECONDS + 1, False), (-SKEW_SECONDS - 1, False)],
)  # fmt: skip
def test_attempt_expires(age: float, counts: bool) -> None:
    """After ten minutes; a clock that is 30 seconds behind is accepted."""
    begun = Attempt.begin("/", now=1_000_000)
    if counts:
        begun.check(begun.state, now=1_000_000 + age)
    else:
        with pytest.raises(SignInFailed, match="expired"):
            begun.check(begun.state, now=1_000_000 + age)


@pytest.mark.parametrize("state", [None, "", "x" * 43, "ä"])
def test_wrong_state_is_refused(state: str | None) -> None:
    """Missing, empty, of another attempt, not ASCII."""
    with pytest.raises(SignInFailed, match="expired"):
        Attempt.begin("/").check(state)


@pytest.mark.parametrize(
    "kept",
    ["", "1.2.3", "1." + "s" * 43, f"-1.{'s' * 43}.Lw", f"1.{'s' * 43}.Lw==", f"1.{'s' * 43}._w"],
)
def test_malformed_cookie_is_refused(kept: str) -> None:
    """Every malformed value gives the same error."""
    with pytest.raises(SignInFailed, match="expired"):
        Attempt(kept)
