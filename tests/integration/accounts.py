"""Runs programs as another account of the machine, if the tests run as root."""

import atexit
import functools
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from frontrow.db.programs import WHEEL
from tests.programs import missing

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another account")
_TRY = f"import asyncpg, {WHEEL}, frontrow.logs, frontrow.db.server"
_FILES_OF_TRY = f"""
import sys
{_TRY}
for name, module in sys.modules.items():
    if "." not in name and getattr(module, "__file__", None):
        print(module.__file__)
"""


def stranger() -> pwd.struct_passwd:
    """Returns an account that is not root."""
    return pwd.getpwnam("nobody")


@functools.cache
def ordinary_python() -> tuple[Path, dict[str, str]]:
    """Returns a Python that another account can run, and the environment that it needs."""
    for packages in (_sys_path, _copied_packages):
        environment = {
            "PATH": os.defpath,
            "PYTHONPATH": packages(),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        for candidate in (Path(sys.executable), Path("/usr/bin/python3")):
            try:
                done = subprocess.run(
                    [candidate, "-c", _TRY],
                    env=environment,
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
                return candidate, environment
    return missing(f"a Python {sys.version_info[:2]} that an ordinary account can run is missing")


def _sys_path() -> str:
    """Returns where this Python finds its packages."""
    return os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)


def _copied_packages() -> str:
    """Returns a folder with copies of the packages, for a checkout in root's private home."""
    stdlib = sysconfig.get_path("stdlib")
    found = subprocess.run(
        [sys.executable, "-c", _FILES_OF_TRY], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folder = Path(tempfile.mkdtemp(prefix="frontrow-tests-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder)
    for file in (Path(name) for name in found):
        if file.is_relative_to(stdlib):
            continue
        if file.name != "__init__.py":
            shutil.copy(file, folder)
            continue
        for package in (file.parent, file.parent.with_name(f"{file.parent.name}.libs")):
            if package.exists():
                shutil.copytree(package, folder / package.name, symlinks=True)
    return str(folder)
