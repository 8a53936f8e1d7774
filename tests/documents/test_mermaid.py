"""Mermaid parses every diagram of the documents."""

import re
from pathlib import Path

from tests.pages.browser import chromium
from tests.programs import missing

ROOT = Path(__file__).resolve().parents[2]
KEPT = sorted((ROOT / ".venv" / "share").glob("mermaid-*.min.js"))
_BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_READ = """async (text) => {
    try { return (await window.mermaid.parse(text)).diagramType; }
    catch (error) { return 'unreadable: ' + error.message; }
}"""


def diagrams() -> dict[str, str]:
    """Returns each diagram by its file and line."""
    found = {}
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]):
        text = page.read_text()
        for block in _BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            found[f"{page.relative_to(ROOT)}:{line}"] = block[1]
    return found


async def test_every_diagram_is_valid() -> None:
    """Mermaid parses it; a broken diagram that is added is found."""
    if not KEPT:
        missing("Mermaid is missing: make mermaid")
    said = {}
    async with chromium() as browser:
        page = await browser.new_page()
        await page.add_script_tag(path=KEPT[-1])
        await page.evaluate("window.mermaid.initialize({startOnLoad: false})")
        for place, text in {**diagrams(), "broken": "flowchart LR\n  a --> --> b"}.items():
            said[place] = await page.evaluate(_READ, text)
    assert said.pop("broken").startswith("unreadable")
    assert len(said) >= 1
    assert {place: what for place, what in said.items() if what.startswith("unreadable")} == {}
