"""The published wheel, in an environment with only its dependencies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.server import FrontrowServer, scratch
from tests.programs import missing

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")


def uv(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Runs uv with the system's certificates where its own are not accepted."""
    for more in ([], ["--system-certs"]):
        done = subprocess.run(
            [UV, *arguments, *more], check=False, capture_output=True, text=True, cwd=ROOT
        )
        if done.returncode == 0:
            break
    return done


async def test_installed_wheel_serves_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built wheel, installed with the locked versions, has every file that it needs."""
    with scratch() as folder:
        built = uv("build", "--wheel", "--no-build-isolation", "--out-dir", folder)
        assert built.returncode == 0, built.stderr
        (wheel,) = folder.glob("*.whl")
        environment = folder / "environment"
        assert uv("venv", "--quiet", "--python", sys.executable, environment).returncode == 0
        python = environment / "bin" / "python"
        locked = ROOT / "requirements" / "run.txt"
        done = uv("pip", "install", "--python", python, "--require-hashes", "-r", locked)
        if done.returncode == 0:
            done = uv("pip", "install", "--python", python, "--no-deps", wheel)
        if done.returncode != 0 and "Failed to fetch" in done.stderr:
            missing("no package registry can be reached")
        assert done.returncode == 0, done.stderr
        monkeypatch.setattr("testkit.server.FRONTROW", environment / "bin" / "frontrow")
        server = FrontrowServer(folder, "--demo", PYTHONPATH=os.devnull)
        try:
            server.start()
            assert len((await server.operate("GET", "/concerts"))["concerts"]) == 3
            audit = server.frontrow("audit")
            assert audit.returncode == 0, audit.stderr
            assert server.end() == 0
        finally:
            server.close()
