"""The announcement of a server: lines on standard output, or one event of a JSON log."""

import json
import sys
from pathlib import Path

import pytest

from frontrow import logs
from frontrow.cli import launch
from frontrow.cli.banner import announce, announce_mock
from frontrow.cli.launch import Started
from frontrow.cli.process import OutputError

KEY = "k" * 43
STARTED = Started(
    base="http://127.0.0.1:8000",
    data="/a/very/long/path/[bold]/that/is/kept/whole",
    durability="all of it",
    workers=2,
    key_file=Path("/data/operator.key"),
    new_key=KEY,
)


def test_lines_stay_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A narrow terminal wraps neither an address nor the key, and nothing is read as markup."""
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    announce("console", STARTED)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["Pages", f"{STARTED.base}/", "and", f"{STARTED.base}/console"] in lines
    assert ["Data", STARTED.data] in lines
    assert ["Operator", "key", KEY] in lines
    assert lines[-2][-1] == "/data/operator.key"


@pytest.mark.parametrize("new_key", [KEY, None])
def test_key_is_not_printed_into_a_log(
    new_key: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output that is no terminal, such as a journal, gets the name of the file."""
    announce("console", Started("http://h", "d", "all", 1, Path("/data/operator.key"), new_key))
    printed = capsys.readouterr().out
    assert KEY not in printed
    assert "Operator key  in /data/operator.key\n" in printed


def test_given_key_is_not_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    """It has no file."""
    announce("console", Started("http://h", "d", "all", 1))
    assert "Operator key" not in capsys.readouterr().out


def test_json_log_gets_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing else is printed, and no key, also on a terminal."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    logs.configure("json")
    try:
        announce("json", STARTED)
        announce_mock("json", "http://127.0.0.1:1")
    finally:
        logs.configure()
    printed = capsys.readouterr()
    assert printed.out == ""
    server, mock = map(json.loads, printed.err.splitlines())
    assert server["event"] == "the server answers"
    assert server["url"] == STARTED.base
    assert server["operator_key_file"] == "/data/operator.key"
    assert KEY not in printed.err
    assert (mock["event"], mock["url"]) == ("the mock answers", "http://127.0.0.1:1")


def test_full_output_does_not_stop_the_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reported in the log."""

    def write(_text: str) -> int:
        raise OutputError(OSError(28, "No space left on device"))

    monkeypatch.setattr(sys.stdout, "write", write)
    logs.configure()
    announce("console", STARTED)
    assert "the start can't be printed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104 - nothing is bound here
        ("::", "http://[::1]:8000"),
        ("tickets.example", "http://tickets.example:8000"),
    ],
)
def test_announced_address_can_be_opened(host: str, base: str) -> None:
    """A browser can open the address."""
    assert launch.base_url(host, 8000) == base
