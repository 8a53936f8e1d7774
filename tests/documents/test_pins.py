"""What an installation downloads is pinned: packages by hash, images by digest."""

import re
import tomllib

import pytest

from tests.documents.test_links import ROOT

CONTAINER = ROOT / "deploy/container"
IMAGE = re.compile(r"^\s*(?:image:|ARG PYTHON=|FROM) ?(\S+)", re.MULTILINE)


def locked(file: str) -> dict[str, tuple[str, int]]:
    """Returns the packages of a lock file, with version and number of hashes."""
    text = (ROOT / "requirements" / file).read_text()
    parts = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    found = [re.match(r"([\w.-]+)==([\w.+!-]+)", part) for part in parts]
    return {
        match[1]: (match[2], part.count("--hash=sha256:"))
        for match, part in zip(found, parts, strict=True)
        if match
    }


@pytest.mark.parametrize("file", ["Containerfile", "compose.yml"])
def test_images_have_a_digest(file: str) -> None:
    """A tag alone can be moved to another image; our own is built here."""
    images = set(IMAGE.findall((CONTAINER / file).read_text()))
    images -= {"$PYTHON", "frontrow"}
    assert len(images) == {"Containerfile": 1, "compose.yml": 2}[file]
    for image in images:
        assert re.fullmatch(r"docker\.io/library/\w+:\d[\w.-]+@sha256:[0-9a-f]{64}", image)


def test_installed_packages_are_locked_as_tested() -> None:
    """Every dependency, in the version of the tests, with hashes."""
    run, tested = locked("run.txt"), locked("dev.txt")
    assert {name for name, (_, hashes) in run.items() if not hashes} == set()
    assert {name: version for name, (version, _) in run.items()} == {
        name: tested[name][0] for name in run
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^\w.-]", each)[0].lower() for each in project["dependencies"]}
    assert names <= {name.lower() for name in run}


def test_guides_install_with_hashes_only() -> None:
    """A command that installs packages checks hashes, or installs a file that is here."""
    commands = [
        line
        for path in [
            *(ROOT / "docs").rglob("*.md"),
            *ROOT.glob("README*.md"),
            CONTAINER / "Containerfile",
        ]
        for line in path.read_text().splitlines()
        if re.search(r"\b(?:pip|pipx|uv tool) install\b", line)
    ]
    assert len(commands) >= 5
    for command in commands:
        assert "--require-hashes" in command or re.search(r"--no-deps dist/\S+\.whl", command)
