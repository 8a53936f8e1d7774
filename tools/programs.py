"""Gets programs that tests and benchmarks run: ``python -m tools.programs NAME...``.

A program that the system has is used. Otherwise it comes from a package of Debian or Ubuntu:

- root installs the package, unless the package has a service, which would start with the machine;
- otherwise the package is unpacked into ``.venv/programs/NAME``, together with the libraries and
  fonts that the system lacks, and ``.venv/bin/NAME`` runs it. Nothing is installed.

Where neither is possible this prints the reason and succeeds: tests that need the program are
skipped, or fail in CI. It does not try again for a day, so that a machine without a network does
not wait in every run.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

VENV = Path(sys.prefix)
UNPACKED = VENV / "programs"
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_TRIPLET = f"{os.uname().machine}-linux-gnu"
LIBRARIES = (f"usr/lib/{_TRIPLET}", f"lib/{_TRIPLET}", f"usr/lib/{_TRIPLET}/pulseaudio")
NEEDED = re.compile(
    r"chromium|curl|fontconfig-config|fonts-dejavu|lib|nginx|postgresql-\d|prom|redis|wrk|xkb-"
)
NOT_NEEDED = re.compile(r"lib(gl1-mesa-dri|js-|llvm|pam-|perl|z3-)")
"""Only needed by a screen, a login, a script, or PostgreSQL's compiler of queries."""
BROWSER = "chromium-headless-shell"
"""Chromium without windows: it takes two thirds of the CPU."""
RETRY_SECONDS = 86_400
APT_SECONDS = 300

WRAPPER = """#!/bin/sh
folder=$(dirname "$(dirname "$(readlink -f "$0")")")
export LD_LIBRARY_PATH="{libraries}"
export XDG_DATA_DIRS="$folder/usr/share:${{XDG_DATA_DIRS:-/usr/local/share:/usr/share}}"
[ ! -d "$folder/etc/fonts" ] || export FONTCONFIG_PATH="$folder/etc/fonts"
exec "$folder/{program}" "$@"
"""
TEXT = "data:text/html,<b id=t>Frontrow</b><script>document.title=t.offsetWidth</script>"


class UnavailableError(Exception):
    """The program can't be obtained on this machine; the text is the reason."""


@dataclass(frozen=True)
class Program:
    """The package that contains a program, and the files to run in it."""

    package: str
    files: tuple[str, ...]
    service: bool = False


PROGRAMS = {
    BROWSER: Program(BROWSER, (f"usr/lib/chromium/{BROWSER}",)),
    "curl": Program("curl", ("usr/bin/curl",)),
    "nginx": Program("nginx", ("usr/sbin/nginx",), service=True),
    "postgres": Program(
        "postgresql",
        ("usr/lib/postgresql/*/bin/postgres", "usr/lib/postgresql/*/bin/initdb"),
        service=True,
    ),
    "promtool": Program("prometheus", ("usr/bin/promtool",), service=True),
    "redis-server": Program("redis-server", ("usr/bin/redis-server",), service=True),
    "wrk": Program("wrk", ("usr/bin/wrk",)),
}


def find(name: str) -> str | None:
    """Returns the path of a program: the system's, or the one unpacked into ``.venv``."""
    folders = [os.environ["PATH"], str(VENV / "bin"), *SYSTEM_FOLDERS]
    folders += map(str, Path("/usr/lib/postgresql").glob("*/bin"))
    return shutil.which(name, path=os.pathsep.join(folders))


def find_browser() -> str | None:
    """Returns the path of Chromium without windows, or else of the system's Chromium."""
    return find(BROWSER) or find("chromium")


class Apt:
    """Runs apt-get with a cache of its own, and with its own lists where the system has none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._options = ["-qq", "--no-install-recommends", "-oAcquire::Retries=1"]
        self._options += ["-oAcquire::http::Timeout=10", f"-oDir::Cache={folder}/cache"]
        for name in ("lists/partial", "cache/archives/partial", "packages"):
            (folder / name).mkdir(parents=True)

    def run(self, *arguments: str) -> str:
        """Returns the output. Raises UnavailableError."""
        try:
            return subprocess.run(
                ["apt-get", *self._options, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=True,
                cwd=self._folder / "packages",
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
                timeout=APT_SECONDS,
            ).stdout
        except FileNotFoundError:
            raise UnavailableError("there is no apt-get") from None
        except subprocess.CalledProcessError as error:
            reason = (error.stderr.strip() or "no reason given").splitlines()[-1]
            raise UnavailableError(f"apt-get {arguments[0]}: {reason}") from None
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"apt-get {arguments[0]} timed out") from None

    def update(self) -> None:
        """Reads the lists of packages again: root the system's, others their own."""
        if os.geteuid() != 0:
            self._options.append(f"-oDir::State::Lists={self._folder}/lists")
        self.run("update")

    def missing(self, package: str) -> list[str]:
        """Returns the package and the packages that it needs and the system lacks."""
        steps = self.run("--simulate", "install", package)
        if re.search(r"^Inst .*snap", steps, re.MULTILINE):
            raise UnavailableError(f"the package {package} is a snap here")
        return re.findall(r"^Inst (\S+)", steps, re.MULTILINE)

    def install(self, package: str) -> None:
        """Installs the package on this system."""
        self.run("install", "--yes", package)

    def unpack(self, packages: Iterable[str], target: Path) -> None:
        """Downloads the packages and unpacks them into a folder."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        shutil.rmtree(self._folder / "packages")
        (self._folder / "packages").mkdir()
        self.run("download", *packages)
        for file in (self._folder / "packages").glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", file, target], check=True)


def obtain(name: str, apt: Apt) -> None:
    """Installs or unpacks a program and checks that it works. Raises UnavailableError."""
    program = PROGRAMS[name]
    try:
        packages = apt.missing(program.package)
    except UnavailableError:
        apt.update()
        packages = apt.missing(program.package)
    if os.geteuid() == 0 and not program.service:
        apt.install(program.package)
    else:
        needed = [p for p in packages if NEEDED.match(p) and not NOT_NEEDED.match(p)]
        apt.unpack(needed, UNPACKED / name)
        # It would only be loaded together with the compiler, which is left out.
        for file in (UNPACKED / name).glob("usr/lib/postgresql/*/lib/llvmjit.so"):
            file.unlink()
        wrap(name)
    if name == BROWSER:
        measure_text()


def wrap(name: str) -> None:
    """Writes scripts that run the unpacked files, and links them into ``.venv/bin``.

    They find everything relative to themselves, so that the folder may be copied.
    """
    folder = UNPACKED / name
    libraries = ":".join(f"$folder/{path}" for path in LIBRARIES)
    (folder / "bin").mkdir()
    for pattern in PROGRAMS[name].files:
        for program in folder.glob(pattern):
            script = folder / "bin" / program.name
            script.write_text(
                WRAPPER.format(libraries=libraries, program=program.relative_to(folder))
            )
            script.chmod(0o755)
            check_libraries(program, libraries.replace("$folder", str(folder)))
            link = VENV / "bin" / program.name
            link.unlink(missing_ok=True)
            link.symlink_to(script)
    if find(name) is None:
        raise UnavailableError(f"the package {PROGRAMS[name].package} does not contain it")


def check_libraries(program: Path, folders: str) -> None:
    """Raises UnavailableError with the libraries that a program needs and that are not there."""
    environment = {**os.environ, "LD_LIBRARY_PATH": folders}
    done = subprocess.run(
        ["ldd", program], env=environment, capture_output=True, text=True, check=False
    )
    if missing := re.findall(r"(\S+) => not found", done.stdout):
        raise UnavailableError(f"libraries are missing: {', '.join(sorted(set(missing)))}")


def measure_text() -> None:
    """Raises UnavailableError if Chromium does not start, or draws no text."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                *(find_browser() or BROWSER, "--headless", "--no-sandbox", "--disable-gpu"),
                *(f"--user-data-dir={profile}", "--dump-dom", TEXT),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    if not re.search(r"<title>[1-9]", done.stdout):
        raise UnavailableError(f"it shows no text: {done.stdout} {done.stderr[-500:]}")


def ensure(name: str, apt: Apt) -> None:
    """Obtains a program unless it is there or could not be obtained within the last day."""
    if find(name) is not None:
        return
    failed = VENV / f".no-{name}"
    if failed.exists() and time.time() - failed.stat().st_mtime < RETRY_SECONDS:
        reason = failed.read_text()
    else:
        print(f"getting {name}…", file=sys.stderr)
        try:
            obtain(name, apt)
        except UnavailableError as error:
            reason = str(error)
            (VENV / "bin" / name).unlink(missing_ok=True)
            failed.write_text(reason)
        else:
            failed.unlink(missing_ok=True)
            return
    print(
        f"{name} can't be obtained ({reason}): install it, or: rm {failed}; make {name}",
        file=sys.stderr,
    )


def main() -> None:
    """Obtains the named programs, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        apt = Apt(Path(folder))
        for name in sys.argv[1:]:
            ensure(name, apt)


if __name__ == "__main__":
    main()
