"""The quickstart, run as printed: every command, and the shape of every answer."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from testkit.server import PATIENCE_SECONDS, FrontrowServer, frontrow, serving
from tests.programs import program

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "docs/tutorial/quickstart.md"
BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Fields whose values differ between buyers; all other values are compared with the printed ones.
OWN = re.compile(r".*(_id|_key|_at|_until)|.*date|.*token|.*poll_after_ms|.*\.tickets\.\d+\.code")


def blocks() -> list[tuple[str, str]]:
    """Returns the commands and answers of the page, in order: language and text."""
    return BLOCK.findall(QUICKSTART.read_text())


def same(printed: Any, real: Any, where: str = "") -> None:
    """Asserts that an answer has the members, types and stable values of the printed one."""
    assert type(printed) is type(real), f"{where}: {printed!r} is printed, {real!r} is answered"
    if isinstance(printed, dict):
        assert printed.keys() == real.keys(), where
        for name, value in printed.items():
            if OWN.fullmatch(f"{where}.{name}") and not isinstance(value, dict | list):
                assert type(value) is type(real[name]), f"{where}.{name}: {real[name]!r}"
            else:
                same(value, real[name], f"{where}.{name}")
    elif isinstance(printed, list):
        # A printed list may omit its last records, never a part of a record.
        cut = bool(printed) and isinstance(printed[0], dict)
        assert len(printed) == len(real) or (cut and len(printed) < len(real)), where
        for index, (one, other) in enumerate(zip(printed, real, strict=False)):
            same(one, other, f"{where}.{index}")
    else:
        assert printed == real, where


def other_commands(server: FrontrowServer, folder: Path) -> None:
    """Runs further commands beside the server: keys, pruning, the ticket that was just bought."""
    for arguments, says in ((["keys", "list"], "token"), (["prune", "--dry-run"], "would delete")):
        done = server.frontrow(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
        assert says in done.stdout
    keys = folder / "keys.pem"
    keys.write_text(server.frontrow("tickets", "public-key").stdout)
    user = json.loads((folder / "user.json").read_text())
    request = Request(
        f"http://127.0.0.1:{server.port}/api/v1/users/me",
        headers={"Authorization": f"Bearer {user['user_key']}"},
    )
    with urlopen(request) as answer:  # noqa: S310 - this machine
        code = json.load(answer)["tickets"][0]["code"]
    assert frontrow("tickets", "verify", code, "--public-key", str(keys)).returncode == 0
    forged = code[:-1] + ("A" if code[-1] != "A" else "B")
    assert frontrow("tickets", "verify", forged, "--public-key", str(keys)).returncode == 1


def test_make_run_starts_the_demo() -> None:
    """Runs the page's one other command, ``make run``, and checks what it starts."""
    assert re.findall(r"^```\n(.+)\n```$", QUICKSTART.read_text(), re.MULTILINE) == ["make run"]
    printed = subprocess.run(
        ["make", "--no-print-directory", "-n", "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.splitlines()[-1].endswith("/frontrow serve --demo")


def test_quickstart_works_as_printed() -> None:
    """Runs against ``frontrow serve --demo`` on another port; the audit finds nothing."""
    for name in ("bash", "curl", "python3"):
        program(name)
    found = blocks()
    commands = [text for language, text in found if language == "sh"]
    with serving("--demo") as server, tempfile.TemporaryDirectory() as folder:
        script = "printf '\\0'\n".join(commands)
        assert script.count("http://127.0.0.1:8000") == 1
        done = subprocess.run(
            ["bash", "-eu"],
            input=script.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{server.port}"),
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, "PATH": f"{os.environ['PATH']}:{Path(sys.executable).parent}"},
            timeout=PATIENCE_SECONDS,
        )
        assert (done.returncode, done.stderr) == (0, "")
        audit = server.frontrow("audit")
        assert audit.returncode == 0, audit.stdout + audit.stderr
        assert "0 of " in audit.stdout
        other_commands(server, Path(folder))
    answers = done.stdout.split("\0")
    assert len(answers) == len(commands)
    checked = 0
    for index, (language, text) in enumerate(found):
        if language == "json":
            answer = answers[sum(kind == "sh" for kind, _ in found[:index]) - 1]
            same(json.loads(text), json.loads(answer))
            checked += 1
    assert checked == 8
    assert answers[-1].strip() == "Small Room, Loud Songs"
