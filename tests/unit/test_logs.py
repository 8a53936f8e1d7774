"""Log lines of Frontrow and of libraries: text or JSON, on standard error."""

import json
import logging

import pytest
import structlog

from frontrow import logs

pytestmark = pytest.mark.usefixtures("restored_logging")


def test_lines_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of Frontrow and of a library are JSON with the same members."""
    logs.configure("json")
    structlog.get_logger().info("hello", seats=2)
    logging.getLogger("library").warning("careful %s", "now")
    captured = capsys.readouterr()
    ours, theirs = map(json.loads, captured.err.splitlines())
    assert captured.out == ""
    assert (ours["event"], ours["level"], ours["seats"]) == ("hello", "info", 2)
    assert (theirs["event"], theirs["level"], theirs["logger"]) == (
        "careful now",
        "warning",
        "library",
    )
    assert ours["timestamp"].endswith("Z")


def test_values_cannot_forge_lines_or_command_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Control characters and marks that reorder text are escaped, in libraries' messages too."""
    hostile = "a\n2026 [info] forged\x1b[2J\x9b31m\u202eb\u2028"
    escaped = r"a\n2026 [info] forged\x1b[2J\x9b31m\u202eb\u2028"
    logs.configure("console")
    structlog.get_logger().warning("hello", path=hostile)
    logging.getLogger("library").warning("careful %s", hostile)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(escaped in line.replace("\\\\", "\\") for line in lines)


def _fail(text: str) -> None:
    raise ValueError(text)


def test_traceback_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Only line ends are left in it."""
    logs.configure("console")
    try:
        _fail("\x1b[2J\r\u202e")
    except ValueError:
        structlog.get_logger().exception("failed")
    text = capsys.readouterr().err
    assert text.endswith("ValueError: \\x1b[2J\\r\\u202e\n")


def test_lines_of_one_event_are_limited(capsys: pytest.CaptureFixture[str]) -> None:
    """Of Frontrow and of libraries, whatever their values; other events are unaffected."""
    logs.configure("json")
    for number in range(1_000):
        structlog.get_logger().warning("hello", number=number)
        logging.getLogger("library").warning("careful %s", number)
    structlog.get_logger().warning("other")
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events.count("hello") == logs.MOST_LINES
    assert len(events) == 2 * logs.MOST_LINES + 1
    assert events[-1] == "other"


def test_failures_of_each_call_are_limited(capsys: pytest.CaptureFixture[str]) -> None:
    """One call that always fails doesn't hide the failures of another."""
    logs.configure("json")
    for call in ["hold"] * 100 + ["pay"]:
        structlog.get_logger().error("a call failed", call=call)
    calls = [json.loads(line)["call"] for line in capsys.readouterr().err.splitlines()]
    assert calls == ["hold"] * logs.MOST_LINES + ["pay"]


def test_suppressed_lines_are_counted() -> None:
    """By the first line after the period; a count is reported once."""
    now = [0.0]
    limit = logs.LineLimit(lambda: now[0])
    found = [limit.count("event") for _ in range(logs.MOST_LINES + 5)]
    assert found == [0] * logs.MOST_LINES + [None] * 5
    now[0] = logs.PERIOD_SECONDS
    assert [limit.count("event") for _ in range(2)] == [5, 0]
    assert limit.process(None, "info", {"event": "other"}) == {"event": "other"}


def test_number_of_limited_events_is_bounded() -> None:
    """A library with ever new texts can't fill the memory."""
    limit = logs.LineLimit()
    for number in range(10_000):
        limit.count(number)
    assert len(limit._periods) <= 1_000


def test_context_is_on_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Values bound to a call, such as its request id, are on each of its lines."""
    logs.configure("json")
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger().info("a")
        logging.getLogger("library").error("b")
    assert [json.loads(line)["request_id"] for line in capsys.readouterr().err.splitlines()] == [
        "r1",
        "r1",
    ]


def test_unexpected_error_is_logged_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """An unexpected error is logged with its traceback."""
    logs.configure("json")
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        structlog.get_logger().exception("oops")
    assert "ZeroDivisionError" in json.loads(capsys.readouterr().err)["exception"]


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_tracebacks_do_not_show_secrets(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The variables of the frames are not logged."""
    logs.configure(log_format)
    password = "hidden"
    try:
        _ = 1 // (len(password) - 6)
    except ZeroDivisionError:
        structlog.get_logger().exception("ours")
        logging.getLogger("library").exception("theirs")
    output = capsys.readouterr().err
    assert output.count("ZeroDivisionError") >= 2
    assert "hidden" not in output


def test_lines_below_the_level_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines below the level are dropped; uvicorn's messages appear at level debug only."""
    logs.configure("console", "warning")
    structlog.get_logger().info("quiet")
    logs.configure("console", "info")
    logging.getLogger("uvicorn.error").info("Started server process")
    assert capsys.readouterr().err == ""
    logs.configure("console", "debug")
    logging.getLogger("uvicorn.error").info("Started server process")
    structlog.get_logger().debug("all")
    assert len(capsys.readouterr().err.splitlines()) == 2
