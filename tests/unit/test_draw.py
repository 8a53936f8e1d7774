"""The rule of a draw: against a second implementation, and its page's worked example."""

import re
import subprocess
from pathlib import Path
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from frontrow.waiting_room.draw import commitment_of, digest_of, entry_of, positions_of
from tests import draws
from tests.programs import program

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "draw.md"
SEEDS = st.text("0123456789abcdef", min_size=64, max_size=64)


def block(language: str, holding: str = "") -> str:
    """Returns the first block of the page in a language that contains a text."""
    blocks: list[str] = re.findall(
        rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return next(text for text in blocks if holding in text)


class Example:
    """The worked example as printed on the page."""

    def __init__(self) -> None:
        self.places = [UUID(line) for line in block("places").split()]
        lines = block("text", "number 3").splitlines()
        people = len(self.places)
        self.seed = re.findall(r"^seed=([0-9a-f]{64})$", block("sh", "seed="), re.MULTILINE)[0]
        self.commitment = lines[0].removeprefix("commitment ")
        self.entries = lines[1 : people + 1]
        self.digest = lines[people + 1].removeprefix("digest ")
        keys = [line.split(" number ") for line in lines[people + 2 :]]
        self.keys = [key for key, _ in keys]
        self.order = [int(number) for _, number in keys]


@given(seed=SEEDS, places=st.lists(st.uuids(), max_size=40))
def test_rule_equals_the_second_implementation(seed: str, places: list[UUID]) -> None:
    """Commitment, entries, digest and positions equal those of the second implementation."""
    entries = [entry_of(place) for place in places]
    assert entries == draws.entries_of(places)
    assert commitment_of(seed) == draws.sum_of(seed)
    assert digest_of(entries) == draws.digest_of(entries)
    positions = positions_of(seed, digest_of(entries), len(entries))
    assert list(positions) == draws.positions_of(seed, entries)
    assert sorted(positions) == list(range(1, len(places) + 1))


def test_every_entrant_changes_the_order() -> None:
    """One more or another entrant changes the order of the others."""
    seed, places = draws.sum_of("a seed"), [uuid4() for _ in range(40)]
    entries = [entry_of(place) for place in places]
    order = draws.order_of(seed, entries)
    longer = draws.order_of(seed, [*entries, entry_of(uuid4())])
    assert [number for number in longer if number != 41] != order
    assert draws.order_of(seed, [*entries[:-1], entry_of(uuid4())]) != order
    assert draws.order_of(draws.sum_of("another"), entries) != order


def test_no_number_is_favoured() -> None:
    """In 2,000 draws of ten, each number is first about 200 times.

    The seeds are fixed, so the counts are too. A fair draw deviates more than this (chi-square,
    9 degrees of freedom) with a probability of one in a thousand.
    """
    entries = [draws.sum_of(str(entrant)) for entrant in range(10)]
    digest = digest_of(entries)
    firsts = [0] * 10
    for seed in range(2_000):
        firsts[positions_of(draws.sum_of(str(seed)), digest, 10).index(1)] += 1
    assert sum(firsts) == 2_000
    assert sum((count - 200) ** 2 / 200 for count in firsts) < 27.88


def test_empty_line_has_an_empty_draw() -> None:
    """The digest of no entries is the digest of an empty text."""
    assert digest_of([]) == draws.sum_of("")
    assert list(positions_of("0" * 64, digest_of([]), 0)) == []


def test_example_of_the_page_is_right() -> None:
    """Each printed value follows from the places and the seed by hashing."""
    shown = Example()
    assert len(shown.places) == 4
    assert shown.commitment == draws.sum_of(shown.seed)
    assert shown.entries == draws.entries_of(shown.places)
    assert shown.digest == draws.digest_of(shown.entries)
    assert shown.order == draws.order_of(shown.seed, shown.entries)
    assert shown.keys == [
        draws.sum_of(f"{shown.seed}:{shown.digest}:{number}") for number in shown.order
    ]


def test_frontrow_draws_the_example_of_the_page() -> None:
    """Frontrow draws the printed positions, and the text below describes them correctly."""
    shown = Example()
    assert [entry_of(place) for place in shown.places] == shown.entries
    assert digest_of(shown.entries) == shown.digest
    assert commitment_of(shown.seed) == shown.commitment
    positions = positions_of(shown.seed, shown.digest, len(shown.places))
    lines = re.findall(r"the positions are ([\d, ]+)\.", PAGE.read_text())
    assert [", ".join(map(str, positions))] == lines
    assert f"Number {shown.order[0]} is called first." in PAGE.read_text()


def test_shell_commands_of_the_page_print_its_values(tmp_path: Path) -> None:
    """The shell commands print exactly the printed values."""
    for name in ("sh", "sha256sum"):
        program(name)
    (tmp_path / "places").write_text(block("places"))
    done = subprocess.run(
        ["sh", "-eu"],
        input=block("sh", "seed="),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (block("text", "number 3"), "")
