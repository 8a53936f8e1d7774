"""`make install` behind a private certificate authority, with stand-ins for pip and uv."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.programs import program

ROOT = Path(__file__).parents[2]
UV = """#!/bin/sh
echo "$*" >>calls
case "$*" in
  *--editable*) exit 0 ;;
  *--system-certs*) [ ! -e offline ] || { echo "no network" >&2; exit 2; } ;;
  *) echo "error: invalid peer certificate: UnknownIssuer" >&2; exit 2 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose pip works, and whose uv needs the system's certificates."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "requirements").mkdir()
    for name in ("dev.txt", "uv.txt"):
        (tmp_path / "requirements" / name).touch()
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in (("pip", "#!/bin/sh\n"), ("uv", UV)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return tmp_path


def install(checkout: Path) -> "subprocess.CompletedProcess[str]":
    """Runs `make install`; `true` stands for Python, which makes nothing."""
    return subprocess.run(
        [program("make"), "install", "PYTHON=true"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


def test_private_authority_prints_no_error(checkout: Path) -> None:
    """The second attempt works, so that there is nothing to report."""
    done = install(checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert "certificate" not in done.stdout
    assert (checkout / ".venv" / ".ready").exists()
    assert len((checkout / "calls").read_text().splitlines()) == 3


def test_both_errors_are_printed_if_nothing_works(checkout: Path) -> None:
    """The first one may be the cause."""
    (checkout / "offline").touch()
    done = install(checkout)
    assert done.returncode == 2
    assert "UnknownIssuer" in done.stderr
    assert "no network" in done.stderr
    assert not (checkout / ".venv" / ".ready").exists()
