"""The folder in which the worker processes of one server share their metrics.

It is locked while the server runs, so that the next start recognises what a killed server left.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "frontrow-metrics-"
LOCK = "lock"
UNLOCKED_SECONDS = 86_400
"""An earlier version locked nothing: the age at which its folder is taken for abandoned."""


@contextlib.contextmanager
def metrics_folder() -> Iterator[Path]:
    """Yields a new private folder; removes those that killed servers left."""
    place = Path(tempfile.gettempdir())
    for folder in place.glob(f"{PREFIX}*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    # It gets its name when it is locked: no other start may take it for abandoned.
    unlocked = Path(tempfile.mkdtemp(prefix="frontrow-starting-"))
    folder = place / f"{PREFIX}{unlocked.name.rpartition('-')[2]}"
    lock = os.open(unlocked / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unlocked.rename(folder)
        yield folder
    finally:
        os.close(lock)
        for left in (unlocked, folder):
            shutil.rmtree(left, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Returns whether a folder is ours, and of a server that has ended."""
    try:
        status = folder.lstat()
        if status.st_uid != os.geteuid():
            return False
        if not (folder / LOCK).exists():
            return time.time() - status.st_mtime > UNLOCKED_SECONDS
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(lock)
