"""docs/reference/logs.md and the waiting room guide list every logged and streamed event."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "frontrow"
LEVELS = {"exception": "error"}
ITSELF = "*the error itself*"
# Arguments of the logger that are not members of the event.
STACK = {"exc_info"}


class Event(NamedTuple):
    """One kind of log line."""

    name: str
    level: str
    facts: frozenset[str]


def logged(text: str) -> Iterator[Event]:
    """Yields the events that a module logs."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Name(id="log" | "_log"),
                    attr="debug" | "info" | "warning" | "error" | "exception" | "critical" as level,
                ),
                args=[event, *_],
            ):
                named = isinstance(event, ast.Constant)
                name = f"`{ast.literal_eval(event)}`" if named else ITSELF
                facts = frozenset(one.arg for one in node.keywords if one.arg) - STACK
                yield Event(name, LEVELS.get(level, level), facts)


def test_every_event_of_the_log_is_documented() -> None:
    """Each once, with its level and facts, and no other."""
    code = {event for file in SOURCE.rglob("*.py") for event in logged(file.read_text())}
    rows = re.findall(
        r"^\| (`.+?`|\*.+?\*) \| ([a-z]+) \| (.*?) ?\| (\S.*) \|$",
        (ROOT / "docs" / "reference" / "logs.md").read_text(),
        re.MULTILINE,
    )
    documented = [
        Event(name, level, frozenset(re.findall(r"`(.+?)`", facts)))
        for name, level, facts, _ in rows
    ]
    assert sorted(documented) == sorted(code)


def test_loggers_are_found_by_their_name() -> None:
    """A logger with another name would not be compared."""
    made = {
        name
        for file in SOURCE.rglob("*.py")
        for name in re.findall(r"^(.*)structlog\.get_logger\(.*\)$", file.read_text(), re.MULTILINE)
    }
    assert made == {"log = ", "_log = "}


def test_event_is_found() -> None:
    """With the level it is logged with; the traceback is not a fact."""
    lines = (
        "log.exception('a', one=1)",
        "_log.error('b', exc_info=error)",
        "other.info('c')",
        "log.error(str(error))",
    )
    assert set(logged("\n".join(lines))) == {
        Event("`a`", "error", frozenset({"one"})),
        Event("`b`", "error", frozenset()),
        Event(ITSELF, "error", frozenset()),
    }


def test_every_event_of_a_stream_is_documented() -> None:
    """In the waiting room guide."""
    sources = "".join(file.read_text() for file in sorted((SOURCE / "web").rglob("*.py")))
    sent = set(re.findall(r"b\"event: (\w+)\\n", sources))
    page = (ROOT / "docs" / "guides" / "waiting-room.md").read_text()
    table = page.partition("| event | when | `data` |\n")[2].partition("\n\n")[0]
    assert sent == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {"status"}
