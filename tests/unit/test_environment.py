"""The variables of the command: what is cleaned, removed and warned of."""

import os

import pytest
from click.testing import CliRunner

from frontrow.cli import environment, launch
from frontrow.cli.main import main
from frontrow.settings import Settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of the servers that were started, in place of starting them."""
    started: list[Settings] = []
    monkeypatch.setattr(launch, "serve", lambda settings, **_: started.append(settings))
    return started


def test_line_ends_of_variables_are_stripped(served: list[Settings]) -> None:
    """A value that comes from a file ends in a line end; it is neither refused nor kept."""
    given = {
        "FRONTROW_OPERATOR_KEY": "an-operator-key-of-a-file\n",
        "FRONTROW_DATABASE_URL": "postgresql://u@h/d\r\n",
        "FRONTROW_LOG_FORMAT": "json\r",
        "FRONTROW_GUESTS": "true\n",
        "FRONTROW_DATA_DIR": "/data\n",
        "FRONTROW_PORT": "1\n",
    }
    result = CliRunner().invoke(main, ["serve"], env=given)
    assert (result.exit_code, result.stderr) == (0, "")
    (settings,) = served
    assert settings.operator_key is not None
    assert settings.operator_key.get_secret_value() == "an-operator-key-of-a-file"
    assert (
        settings.to_environment()
        == Settings(
            operator_key="an-operator-key-of-a-file",
            database_url="postgresql://u@h/d",
            log_format="json",
            guests=True,
            data_dir="/data",
            port=1,
        ).to_environment()
    )


def test_misspelt_variable_is_reported_with_the_nearest_name(served: list[Settings]) -> None:
    """The server starts: the variable may be another program's."""
    given = {
        "FRONTROW_WORKER": "2",
        "FRONTROW_DATABASE_ULR": "postgresql://u@h/d",
        "FRONTROW_SERVICE_HOST": "10.0.0.1",
        "FRONTROW_DEMO": "1",
        "FRONTROW_COMMITMENT": "",
        "frontrow_port": "2",
        "FRONTROW_LOG_FORMAT": "json",
    }
    result = CliRunner().invoke(main, ["serve"], env=given)
    assert result.exit_code == 0
    warnings = [line for line in result.stderr.splitlines() if "a variable is unknown" in line]
    assert len(warnings) == len(result.stderr.splitlines()) == 3
    for name, nearest in (
        ("FRONTROW_WORKER", '"FRONTROW_WORKERS"'),
        ("FRONTROW_DATABASE_ULR", '"FRONTROW_DATABASE_URL"'),
        ("FRONTROW_SERVICE_HOST", "null"),
    ):
        assert any(
            f'"variable": "{name}"' in line and f'"nearest": {nearest}' in line for line in warnings
        ), warnings
    assert served[0].port == 2


def test_variables_of_postgresql_are_removed_and_reported(served: list[Settings]) -> None:
    """They would complete or contradict the URL; without a URL they mean nothing here."""
    for url, warnings in ((None, 0), ("postgresql://u@h/d", 1)):
        given = {"PGPORT": "1", "PGSSLMODE": "verify-full", "FRONTROW_DATABASE_URL": url}
        result = CliRunner().invoke(main, ["serve"], env=given)
        assert result.exit_code == 0
        assert result.stderr.count("variables of PostgreSQL are ignored") == warnings
        assert result.stderr.count("PGPORT") == warnings
    assert len(served) == 2


def test_other_variables_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither removed nor changed."""
    monkeypatch.setenv("OTHER", " as it was\n")
    monkeypatch.setenv("PGPASSFILE", "/elsewhere")
    assert environment.clean() == ["PGPASSFILE"]
    assert os.environ["OTHER"] == " as it was\n"
