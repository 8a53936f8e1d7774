"""The commands of docs/guides/running.md work as printed, in folders in place of the machine's."""

import configparser
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from frontrow.settings import Settings
from testkit.server import FRONTROW, FrontrowServer, scratch

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guides/running.md").read_text()
DATA = "/var/lib/frontrow"


def blocks(heading: str, form: str = "") -> list[str]:
    """Returns the code blocks of a section of the guide."""
    part = GUIDE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{form}\n(.*?)^```", part, re.MULTILINE | re.DOTALL)


def unit() -> configparser.SectionProxy:
    """Returns the service section of the systemd unit."""
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read(ROOT / "deploy/systemd/frontrow.service")
    return read["Service"]


class Machine:
    """A folder in place of the machine's root, and this account in place of all others."""

    def __init__(self, root: Path, server: FrontrowServer) -> None:
        self.root = root
        self.server = server

    def do(self, line: str) -> None:
        """Runs one command of the guide; starting and stopping the service acts on the server."""
        words = shlex.split(line)
        assert words.pop(0) == "sudo", line
        if words == ["systemctl", "stop", "frontrow"]:
            assert self.server.end() == 0
            return
        if words == ["systemctl", "start", "frontrow"]:
            self.server.start()
            return
        if words[:2] == ["-u", "frontrow"]:
            del words[:2]
        if words[0] == "install":  # this machine has no such account
            for option in ("-o", "-g"):
                del words[words.index(option) : words.index(option) + 2]
        here = [re.sub("^/(var|etc)/", f"{self.root}/\\1/", word) for word in words]
        if here[0] == "/opt/frontrow/bin/frontrow":
            here[0] = str(FRONTROW)
        done = subprocess.run(here, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """Yields a machine as the guide installs it, with the server running."""
    with scratch() as root:
        (root / "var/lib").mkdir(parents=True)
        server = FrontrowServer(root, data=DATA.removeprefix("/"), operator_key=None)
        server.start()
        try:
            yield Machine(root, server)
        finally:
            server.close()


def test_backup_replaces_the_data(machine: Machine) -> None:
    """Each command from the backup to the restored sale, as printed."""
    key = (machine.root / DATA.removeprefix("/") / "operator.key").read_text()
    (folder,) = re.findall(r"^sudo install .* /var/backups/frontrow$", GUIDE, re.MULTILINE)
    machine.do(folder)
    (by_hand,) = re.findall(r"^sudo .* audit .*$", GUIDE, re.MULTILINE)
    machine.do(by_hand)
    (write,), restore, take_over = (block.splitlines() for block in blocks("Backups"))
    (dump,) = re.findall(r"/var/backups/frontrow/[\d-]+\.dump", "\n".join(restore))
    machine.do(write.replace("/var/backups/frontrow/$(date +%F-%H%M).dump", dump))
    for line in restore + take_over:
        machine.do(line)
    assert (machine.root / "var/lib/frontrow-before/database").is_dir()
    assert (machine.root / DATA.removeprefix("/") / "operator.key").read_text() == key
    assert machine.server.ready()


def test_guide_and_unit_name_the_same_directories() -> None:
    """The data directory, the writable one, and the option of commands that are run by hand."""
    service = unit()
    assert f"FRONTROW_DATA_DIR={DATA}" in service["Environment"].split()
    assert (service["ProtectSystem"], service["StateDirectory"]) == ("strict", Path(DATA).name)
    assert service["ExecStart"].startswith("/opt/frontrow/bin/frontrow ")
    assert service["EnvironmentFile"].lstrip("-") in GUIDE
    commands = re.findall(r"^sudo -u frontrow .*$", GUIDE, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert f"--data-dir {DATA}" in command


def test_printed_settings_are_valid() -> None:
    """One setting per line: systemd takes text after a value for a part of it."""
    (text,) = blocks("Install", "ini")
    given: dict[str, Any] = dict(line.split("=", 1) for line in text.splitlines())
    Settings(**{name.removeprefix("FRONTROW_").lower(): value for name, value in given.items()})
    assert not any(" " in value or "#" in value for value in given.values())
