"""docs/reference/settings.md: every setting, with the default and the words of the code."""

import re
from pathlib import Path

import pytest

from frontrow.cli.setting_errors import allowed
from frontrow.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/reference/settings.md").read_text()


def variable(field: str) -> str:
    """What a setting is called in the environment."""
    return f"FRONTROW_{field.upper()}"


def row(field: str) -> str:
    """What the table has to say of a setting."""
    info = Settings.model_fields[field]
    default = "unset" if info.default is None else f"`{info.default}`"
    return f"| `{variable(field)}` | {default} | {allowed(field)} | {info.description} |"


def test_the_table_is_that_of_the_code() -> None:
    """Each setting is there once, in the order of the code, and nothing else."""
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| `")]
    assert rows == [row(field) for field in Settings.model_fields]


@pytest.mark.parametrize(
    "field", [name for name, info in Settings.model_fields.items() if info.default is not None]
)
def test_a_default_as_written_is_the_default(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets a variable to what the table has as its default changes nothing."""
    for other in Settings.model_fields:
        monkeypatch.delenv(variable(other), raising=False)
    untouched = Settings()
    (written,) = re.findall(rf"^\| `{variable(field)}` \| `(.*?)` \|", DOCUMENT, re.MULTILINE)
    monkeypatch.setenv(variable(field), written)
    assert Settings() == untouched


def test_no_other_variable_is_named() -> None:
    """What the text around the table names is a setting, or belongs to the command alone."""
    named = set(re.findall(r"FRONTROW_[A-Z_]+[A-Z]", DOCUMENT))
    command_only = {"FRONTROW_DEMO", "FRONTROW_COMMITMENT", "FRONTROW_TOKEN"}
    assert named == {variable(field) for field in Settings.model_fields} | command_only


def test_the_index_links_to_it() -> None:
    """docs/README.md."""
    assert "](reference/settings.md)" in (ROOT / "docs/README.md").read_text()
