"""What a browser keeps of a sign-in, and what the issuer is told of it."""

import pytest

from frontrow.errors import SignInFailed
from frontrow.users.attempt import ATTEMPT_SECONDS, LONGEST_BACK, Attempt
from frontrow.users.id_token import SKEW_SECONDS


def test_what_the_issuer_is_told() -> None:
    """All of it differs, from each other and from attempt to attempt."""
    one, other = Attempt.begin("/tickets"), Attempt.begin("/tickets")
    said = [getattr(each, name) for each in (one, other) for name in ("state", "nonce", "verifier")]
    assert len({*said, one.digest, other.digest}) == 8
    assert {len(each) for each in said} == {43}


@pytest.mark.parametrize("back", ["/", "/concerts/1?show=%20&a=b", "/" + "x" * (LONGEST_BACK - 1)])
def test_it_is_kept(back: str) -> None:
    """What the browser brings back is the same attempt, with the path to come back to."""
    begun = Attempt.begin(back)
    kept = Attempt(begun.kept)
    assert (kept.back, kept.state, kept.digest) == (back, begun.state, begun.digest)


@pytest.mark.parametrize(
    ("age", "counts"),
    [(0, True), (ATTEMPT_SECONDS, True), (-SKEW_SECONDS, True),
     (ATTEMPT_SECONDS + 1, False), (-SKEW_SECONDS - 1, False)],
)  # fmt: skip
def test_how_long(age: float, counts: bool) -> None:
    """Ten minutes; a process whose clock is somewhat behind takes it too."""
    begun = Attempt.begin("/", now=1_000_000)
    if counts:
        begun.check(begun.state, now=1_000_000 + age)
    else:
        with pytest.raises(SignInFailed, match="expired"):
            begun.check(begun.state, now=1_000_000 + age)


@pytest.mark.parametrize("state", [None, "", "x" * 43, "ä"])
def test_another_state(state: str | None) -> None:
    """Only its own is taken."""
    with pytest.raises(SignInFailed, match="expired"):
        Attempt.begin("/").check(state)


@pytest.mark.parametrize(
    "kept",
    ["", "1.2.3", "1." + "s" * 43, f"-1.{'s' * 43}.Lw", f"1.{'s' * 43}.Lw==", f"1.{'s' * 43}._w"],
)
def test_nothing_of_ours(kept: str) -> None:
    """Whatever else is in the cookie is refused, in one way."""
    with pytest.raises(SignInFailed, match="expired"):
        Attempt(kept)
