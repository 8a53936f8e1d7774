"""Lints the package's SQL with Squawk: ``python -m tools.lint_sql``, a part of ``make check``.

Squawk reads plain SQL. Queries name their parameters for aiosql (``:name``), and a migration file
also holds its rollback, which drops what the migration added. Squawk therefore gets copies in which
every parameter has a number and the rollback is missing. Line numbers stay the same.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = "src/frontrow"
CONFIGURATION = ".squawk.toml"
FIRST_CHECKED_MIGRATION = 19
"""Earlier migrations were written without the rules, and an applied migration is never changed."""
EARLIER_MIGRATIONS_BREAK = (
    *("adding-not-nullable-field", "ban-drop-column", "ban-drop-constraint", "renaming-column"),
    *("constraint-missing-not-valid", "disallowed-unique-constraint"),
    *("require-concurrent-index-creation", "require-concurrent-index-deletion"),
)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")
_ROLLBACK = "-- migrate: rollback"
SQUAWK = Path(sys.executable).with_name("squawk")


def plain_sql(file: str, text: str) -> str:
    """Returns the SQL of a file as Squawk reads it."""
    numbers: dict[str, int] = {}
    applied = text.partition(_ROLLBACK)[0]
    plain = _PARAMETER.sub(
        lambda name: f"${numbers.setdefault(name[1], len(numbers) + 1)}", applied
    )
    if file[:4].isdigit() and int(file[:4]) < FIRST_CHECKED_MIGRATION:
        plain += f"-- squawk-ignore-file {', '.join(EARLIER_MIGRATIONS_BREAK)}\n"
    return plain


def main() -> None:
    """Lints every SQL file; exits with 1 and the findings if there are any."""
    with tempfile.TemporaryDirectory(prefix="frontrow-sql-") as folder:
        shutil.copy(ROOT / CONFIGURATION, folder)
        for file in sorted((ROOT / SOURCES).rglob("*.sql")):
            copy = folder / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(plain_sql(file.name, file.read_text()))
        command = [str(SQUAWK), f"{SOURCES}/**/*.sql"]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


if __name__ == "__main__":
    main()
