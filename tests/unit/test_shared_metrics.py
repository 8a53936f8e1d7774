"""The folder of shared metrics: private, removed at the end, and also after a kill."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from frontrow.cli.shared_metrics import UNLOCKED_SECONDS, metrics_folder

KILLED = """
import os, signal, tempfile
from frontrow.cli.shared_metrics import metrics_folder
with metrics_folder() as folder:
    (folder / "counter_1.db").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder for this test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_folder_is_private_and_removed(temporary: Path) -> None:
    """Nothing of it is left."""
    with metrics_folder() as folder:
        assert folder.parent == temporary
        assert folder.name.startswith("frontrow-metrics-")
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "counter_1.db").touch()
    assert list(temporary.iterdir()) == []


def test_folder_of_a_killed_server_is_removed_at_the_next_start(temporary: Path) -> None:
    """At once; the folder of a running server stays."""
    subprocess.run([sys.executable, "-c", KILLED], check=False)
    (left,) = temporary.iterdir()
    with metrics_folder() as first:
        assert not left.exists()
        with metrics_folder() as second:
            assert {*temporary.iterdir()} == {first, second}


def test_folder_without_a_lock_is_removed_when_it_is_old(temporary: Path) -> None:
    """Earlier versions locked nothing: one may still be running."""
    old, new = temporary / "frontrow-metrics-old", temporary / "frontrow-metrics-new"
    for folder in (old, new):
        folder.mkdir()
    before = new.stat().st_mtime - UNLOCKED_SECONDS - 60
    os.utime(old, (before, before))
    other = temporary / "frontrow-metrics-link"
    other.symlink_to("/nowhere")
    with metrics_folder():
        assert not old.exists()
        assert new.exists()
        assert other.is_symlink()
