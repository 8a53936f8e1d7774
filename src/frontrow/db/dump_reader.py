"""Reads a dump without running any of its SQL.

``pg_restore`` only decodes: it lists the entries, and writes the rows of tables as text. No
statement of the file reaches a database, since anybody may have written it.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from frontrow.db.migrate import MIGRATIONS
from frontrow.db.programs import ENVIRONMENT, wheel_folder
from frontrow.errors import SetupError, WrongUse

_BATCH_BYTES = 1 << 20

_CREATED_TRIGGER = re.compile(r"^CREATE TRIGGER (\w+) [\w ]+ ON (\w+)", re.MULTILINE)
_CREATED = re.compile(r"^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)", re.MULTILINE)
KEPT_BY_TOOLS = {"_pogo_migration", "_pogo_version", "_frontrow_functions"}
"""Tables that record the schema. Their rows aren't restored: it is created, not copied."""

# An entry of the list: its kind, schema and name.
_ENTRY = re.compile(
    r"\d+; \d+ \d+ (?P<kind>[A-Z]+(?: [A-Z]+)*) (?P<schema>\S+) (?P<name>\S+)(?: (?P<rest>.*))?"
)
_OF_TABLE = {"TABLE", "TABLE DATA", "CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT", "DEFAULT"}
# Nothing of these is used: the schema is created by the migrations.
_UNUSED = {"ACL", "COMMENT", "EXTENSION", "FUNCTION", "INDEX", "PUBLICATION", "PUBLICATION TABLE"}
_UNUSED |= {"SCHEMA", "SEQUENCE", "SEQUENCE OWNED BY", "SEQUENCE SET", "STATISTICS"}
_UNUSED |= {"STATISTICS DATA", "TYPE", "VIEW"}
# Code in a language that isn't confined to the database, or a statement that runs a program.
_UNSAFE = re.compile(
    rb"\bLANGUAGE\s+(?!(?:sql|plpgsql)\b)\S+|\b(?:FROM|TO)\s+PROGRAM\b", re.IGNORECASE
)

_COPY = re.compile(rb'COPY public\."?(\w+)"? \(([\w", ]+)\) FROM stdin;\n')
_SETVAL = re.compile(rb"SELECT pg_catalog\.setval\('public\.(\w+)', (\d+), (true|false)\);\n")
_HARMLESS = re.compile(
    rb"\n|--[^\n]*\n|\\(?:un)?restrict \w+\n|SET \w+ = ['\w]+;\n"
    rb"|SELECT pg_catalog\.set_config\('search_path', '', false\);\n"
)
_ENCODING = re.compile(rb"SET client_encoding = '(?!UTF8')")
_END_OF_ROWS = b"\\.\n"


class Table(NamedTuple):
    """A table whose rows come next."""

    name: str
    columns: Sequence[str]


class SequenceValue(NamedTuple):
    """The last value of a sequence."""

    name: str
    value: int
    is_called: bool


class DumpReader:
    """The tables and sequences of a dump, in its order.

    Args:
        output: what pg_restore writes.
        file: the name of the dump, for errors.
    """

    def __init__(self, output: IO[bytes], file: Path) -> None:
        self._output = output
        self._file = file

    def parts(self) -> Iterator[Table | SequenceValue]:
        """Yields the parts. The rows of a table must be read (``rows``) before the next part.

        Raises:
            WrongUse: the dump has a statement that Frontrow's don't have.
        """
        for line in self._output:
            if table := _COPY.fullmatch(line):
                columns = table[2].decode().replace('"', "").split(", ")
                yield Table(table[1].decode(), columns)
            elif value := _SETVAL.fullmatch(line):
                yield SequenceValue(value[1].decode(), int(value[2]), value[3] == b"true")
            elif _ENCODING.match(line) or not _HARMLESS.fullmatch(line):
                text = line.decode(errors="replace").strip()[:60]
                raise not_ours(self._file, f"it has the statement {text!r}")

    def rows(self) -> Iterator[bytes]:
        """Yields the rows of the present table as COPY takes them, many at a time.

        Raises:
            WrongUse: the dump ends within the table.
        """
        batch: list[bytes] = []
        size = 0
        for line in self._output:
            if line == _END_OF_ROWS:
                yield b"".join(batch)
                return
            batch.append(line)
            size += len(line)
            if size >= _BATCH_BYTES:
                yield b"".join(batch)
                batch, size = [], 0
        raise not_ours(self._file, "it ends within a table")


@contextmanager
def reading(file: Path, *options: str) -> Iterator[DumpReader]:
    """Yields a reader of a dump's rows.

    Raises:
        SetupError: at the end of the block, if the file is damaged.
    """
    arguments = ["--data-only", *options, "--file=-", str(file)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603 - a list without a shell; the path is ours
            [wheel_folder() / "bin" / "pg_restore", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=ENVIRONMENT,
        ) as process,
    ):
        try:
            yield DumpReader(cast("IO[bytes]", process.stdout), file)
        except BaseException:
            process.kill()
            raise
        if process.wait():
            errors.seek(0)
            raise SetupError(f"can't read {file}: {_first_error(errors.read())}")


def check_entries(file: Path) -> None:
    """Checks that a dump has nothing but what a dump of Frontrow's database has.

    Raises:
        WrongUse: it has something else.
        SetupError: it can't be read.
    """
    known = set(KEPT_BY_TOOLS)
    triggers = set()
    for path in MIGRATIONS.glob("*.sql"):
        known.update(_CREATED.findall(path.read_text()))
        triggers.update(_CREATED_TRIGGER.findall(path.read_text()))
    for line in _decoded(file, "--list").decode(errors="replace").splitlines():
        if line.startswith(";") or not line.strip():
            continue
        entry = _ENTRY.fullmatch(line.rstrip())
        if entry is None or not _is_ours(entry, known, triggers):
            raise not_ours(file, f"it has the entry {line.partition(' ')[2][:80]!r}")
    if unsafe := _UNSAFE.search(_decoded(file, "--schema-only", "--file=-")):
        raise not_ours(file, f"it has code with {unsafe[0].decode(errors='replace')[:60]!r}")


def migrations_of(file: Path) -> set[str]:
    """Returns the names of the migrations that a dump's database had.

    Raises:
        WrongUse: it has no record of migrations: it isn't Frontrow's.
        SetupError: it can't be read.
    """
    found: set[str] = set()
    with reading(file, "--table=_pogo_migration") as dump:
        for part in dump.parts():
            if not isinstance(part, Table) or "migration_id" not in part.columns:
                break
            column = part.columns.index("migration_id")
            for rows in dump.rows():
                found.update(row.split("\t")[column] for row in rows.decode().splitlines())
    if not found:
        raise not_ours(file, "it has no record of migrations")
    return found


def not_ours(file: Path, reason: str) -> WrongUse:
    """Returns the error for a dump of another application, or one that was tampered with."""
    return WrongUse(f"{file} is not a backup of frontrow: {reason}")


def _is_ours(entry: re.Match[str], known: set[str], triggers: set[tuple[str, str]]) -> bool:
    kind, schema, name = entry["kind"], entry["schema"], entry["name"]
    if kind == "TRIGGER":
        trigger = (entry["rest"] or "").partition(" ")[0]
        return (trigger, name) in triggers and schema == "public"
    if kind in _OF_TABLE:
        return schema == "public" and name in known
    return kind in _UNUSED and schema in ("public", "-")


def _decoded(file: Path, *arguments: str) -> bytes:
    """Returns what pg_restore writes about a dump."""
    done = subprocess.run(  # noqa: S603 - a list without a shell; the path is ours
        [wheel_folder() / "bin" / "pg_restore", *arguments, str(file)],
        capture_output=True,
        check=False,
        env=ENVIRONMENT,
    )
    if done.returncode:
        raise SetupError(f"can't read {file}: {_first_error(done.stderr)}")
    return done.stdout


def _first_error(errors: bytes) -> str:
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines() if line.strip()]
    return (lines or ["pg_restore gives no reason"])[0].removeprefix("pg_restore: error: ")
