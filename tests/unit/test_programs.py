"""A missing program: the test is skipped for a developer and fails in CI."""

import re
from pathlib import Path

import pytest

from tests.programs import missing, program

TESTS = Path(__file__).parents[1]
SKIPS = re.compile(r"pytest\.(?:skip|importorskip)\(|mark\.skip")


def test_missing_program_skips_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the program and the command that obtains it."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"^no-such-program is missing: .* `make prog"):
        program("no-such-program")


@pytest.mark.parametrize("value", ["true", "1"])
def test_missing_program_fails_the_test_in_ci(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CI installs every program, so a skipped test would hide a fault."""
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.fail.Exception, match=r"^no-such-program is missing: "):
        program("no-such-program")
    with pytest.raises(pytest.fail.Exception, match=r"^the network is missing; "):
        missing("the network is missing")


def test_program_of_the_system_is_found() -> None:
    """Every system has a shell."""
    assert Path(program("sh")).name == "sh"


def test_tests_are_skipped_only_through_missing() -> None:
    """Except a test that needs root, since an ordinary account can't act as another one."""
    found = {
        str(path.relative_to(TESTS)): len(SKIPS.findall(path.read_text()))
        for path in TESTS.rglob("*.py")
        if path != Path(__file__) and SKIPS.search(path.read_text())
    }
    assert found == {"programs.py": 1, "integration/accounts.py": 1}
