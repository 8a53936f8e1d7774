"""Running things as another account of the machine, where the tests run as root."""

import functools
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another account")


def stranger() -> pwd.struct_passwd:
    """An account that is neither root nor the one that runs PostgreSQL."""
    return pwd.getpwnam("nobody")


@functools.cache
def ordinary_python() -> Path:
    """A Python that another account can run; root's own may lie in its private home."""
    for candidate in (Path(sys.executable), Path("/usr/bin/python3")):
        try:
            done = subprocess.run(
                [candidate, "-c", "import frontrow.db.server"],
                env=python_environment(),
                user=stranger().pw_uid,
                group=stranger().pw_gid,
                extra_groups=[],
                check=False,
                capture_output=True,
                cwd="/",
            )
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    pytest.skip("no Python here can be run by an ordinary account")


def python_environment() -> dict[str, str]:
    """The packages of this Python, for another one of the same version."""
    paths = [str(Path(path).resolve()) for path in sys.path if path]
    return {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
