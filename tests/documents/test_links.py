"""Every link in the documents leads to an existing file and heading."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md")])
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Returns the anchors of a page's headings, as code hosts create them."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def dead(page: Path, text: str) -> list[str]:
    """Returns the dead links of a page. Links to other hosts aren't followed."""
    found = []
    for target in _LINK.findall(_FENCE.sub("", text)):
        if re.match("[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page if not name else page.parent / name
        if not file.exists() or (
            anchor and file.suffix == ".md" and anchor not in anchors(file.read_text())
        ):
            found.append(target)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_has_a_target(page: Path) -> None:
    """Files, and headings in them."""
    assert dead(page, page.read_text()) == []


def test_dead_link_is_found() -> None:
    """A missing file, a missing heading."""
    page = ROOT / "docs" / "design" / "architecture.md"
    text = "[a](nothing.md) [b](architecture.md#nothing) [c](architecture.md#lock-then-decide)"
    assert dead(page, text) == ["nothing.md", "architecture.md#nothing"]
