"""The SQL that the linter gets."""

import subprocess
from pathlib import Path

import pytest

from tools import lint_sql

QUERY = "-- name: one\nSELECT :name::text, a.b[1:2] FROM a WHERE a.c = :name AND a.d = :p90_s;\n"
MIGRATION = "-- migrate: apply\nALTER TABLE a DROP COLUMN b;\n-- migrate: rollback\nDROP TABLE a;\n"


def test_named_parameters_become_numbers() -> None:
    """The same name has the same number; casts and array slices stay as they are."""
    assert lint_sql.plain_sql("queries.sql", QUERY) == (
        "-- name: one\nSELECT $1::text, a.b[1:2] FROM a WHERE a.c = $1 AND a.d = $2;\n"
    )


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("0019_new.sql", MIGRATION, "ban-drop-column"),
        ("0018_old.sql", MIGRATION.replace("DROP COLUMN b", "DROP"), "syntax-error"),
        ("0018_old.sql", MIGRATION, None),
        ("queries.sql", QUERY, None),
        ("queries.sql", QUERY.replace("SELECT", "SELEC"), "syntax-error"),
    ],
)
def test_errors_are_found(tmp_path: Path, name: str, text: str, rule: str | None) -> None:
    """Syntax errors are reported in every file, the rules for migrations in the newer ones."""
    (tmp_path / lint_sql.CONFIGURATION).write_text(
        (lint_sql.ROOT / lint_sql.CONFIGURATION).read_text()
    )
    (tmp_path / name).write_text(lint_sql.plain_sql(name, text))
    squawk = subprocess.run(
        [lint_sql.SQUAWK, "--reporter=gcc", name], cwd=tmp_path, check=False, capture_output=True
    )
    found = squawk.stdout.decode()
    assert (rule is None) == (squawk.returncode == 0), found
    assert rule is None or rule in found
