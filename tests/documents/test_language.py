"""No text has a phrase that made sentences hard to read before (CONTRIBUTING.md, Style)."""

import re
import subprocess

from tests.documents.test_links import ROOT

# Say "report" for "tell", "users who" for "those who", "n" for "so many", and so on.
PHRASES = re.compile(
    r"(?<!\.)\b(?:[Tt]ells?|[Tt]old|[Ww]hoever|[Tt]hose who|[Ww]ho waits|[Ss]o many"
    r"|(?<!there )(?:is|are) none(?! of)|(?:is|are) nobody|at all|by itself|by themselves|anew"
    r"|(?:[Ll]ets?|letting) go|(?:is|are|was|were) over|rung|on end)\b"
)
SUFFIXES = (".md", ".py", ".sql", ".js", ".html", ".css", ".json", ".yml", ".conf", ".service")
# Not ours, or made from what is.
OTHERS = ("src/frontrow/web/site/vendor/", "docs/reference/strategies/results.json")


def phrases(text: str) -> list[str]:
    """Returns each line of a text that has such a phrase."""
    return [line.strip() for line in text.splitlines() if PHRASES.search(line)]


def test_no_phrase_that_is_hard_to_read() -> None:
    """In documents, code, comments, messages and tests."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    files = [name for name in listed.stdout.splitlines() if name.endswith(SUFFIXES)]
    found = {
        name: lines
        for name in files
        if not name.startswith(OTHERS) and name != "tests/documents/test_language.py"
        if (ROOT / name).is_file() and (lines := phrases((ROOT / name).read_text("utf-8")))
    }
    assert found == {}


def test_a_phrase_is_found() -> None:
    """As a word, not inside of one."""
    assert phrases("The client is told.\nThe total.\nWhoever asks.") == [
        "The client is told.",
        "Whoever asks.",
    ]
