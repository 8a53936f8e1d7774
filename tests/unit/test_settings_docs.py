"""docs/reference/settings.md has every setting, with the default and description of the code."""

import re
from pathlib import Path

import pytest

from frontrow.cli.setting_errors import allowed
from frontrow.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/reference/settings.md").read_text()


def variable(field: str) -> str:
    """Returns a setting's environment variable."""
    return f"FRONTROW_{field.upper()}"


def row(field: str) -> str:
    """Returns the row that the table must have for a setting."""
    info = Settings.model_fields[field]
    default = "unset" if info.default is None else f"`{info.default}`"
    return f"| `{variable(field)}` | {default} | {allowed(field)} | {info.description} |"


def test_table_has_the_settings_of_the_code() -> None:
    """Each once, in the order of the code, and no other."""
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| `")]
    assert rows == [row(field) for field in Settings.model_fields]


@pytest.mark.parametrize(
    "field", [name for name, info in Settings.model_fields.items() if info.default is not None]
)
def test_printed_default_is_the_default(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to it changes nothing."""
    for other in Settings.model_fields:
        monkeypatch.delenv(variable(other), raising=False)
    untouched = Settings()
    (written,) = re.findall(rf"^\| `{variable(field)}` \| `(.*?)` \|", DOCUMENT, re.MULTILINE)
    monkeypatch.setenv(variable(field), written)
    assert Settings() == untouched


def test_no_other_variable_is_named() -> None:
    """Except those that belong to a command only."""
    named = set(re.findall(r"FRONTROW_[A-Z0-9_]+[A-Z0-9]", DOCUMENT))
    command_only = {"FRONTROW_DEMO", "FRONTROW_COMMITMENT", "FRONTROW_TOKEN"}
    assert named == {variable(field) for field in Settings.model_fields} | command_only


def test_index_links_to_the_document() -> None:
    """docs/README.md."""
    assert "](reference/settings.md)" in (ROOT / "docs/README.md").read_text()
