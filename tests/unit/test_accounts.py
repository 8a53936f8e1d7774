"""The account that runs PostgreSQL for root: an own one, or PostgreSQL's, never ``nobody``."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from frontrow.db import accounts
from frontrow.db.accounts import Account, named, unprivileged_account
from frontrow.db.data_directory import default_data_dir
from frontrow.errors import SetupError

NOBODY = Account("nobody", 65534, 65534)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Account]:
    """The accounts of a machine that has ``nobody`` only; the caller is root."""
    machine = {"nobody": NOBODY}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(accounts, "_account", machine.get)
    return machine


def test_own_account_comes_first(known: dict[str, Account], tmp_path: Path) -> None:
    """Then PostgreSQL's."""
    known["postgres"] = Account("postgres", 101, 104)
    assert unprivileged_account(tmp_path / "none") == known["postgres"]
    known["frontrow"] = Account("frontrow", 998, 998)
    assert unprivileged_account(tmp_path / "none") == known["frontrow"]


def test_missing_account_is_created(
    known: dict[str, Account], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system account without a login, instead of ``nobody``."""
    ran: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        known["frontrow"] = Account("frontrow", 998, 998)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/sbin/{name}")
    assert unprivileged_account(tmp_path / "none") == known["frontrow"]
    ((program, *options),) = ran
    assert program == "/usr/sbin/useradd"
    assert {"--system", "--no-create-home", "frontrow"} <= set(options)


@pytest.mark.parametrize(
    ("program", "said"), [(None, "useradd is missing"), ("/usr/sbin/useradd", "cannot lock")]
)
def test_root_without_an_account_is_refused(
    known: dict[str, Account],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str | None,
    said: str,
) -> None:
    """One line with the reason; ``nobody`` exists and isn't taken."""
    assert known
    failed = subprocess.CompletedProcess("useradd", 1, "", "useradd: cannot lock /etc/passwd\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: program)
    with pytest.raises(SetupError, match=f"can't be created .*{said}"):
        unprivileged_account(tmp_path / "none")


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller has no entry in ``/etc/passwd``, as an arbitrary user of a container."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)

    def getpwuid(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", getpwuid)


@pytest.mark.usefixtures("nameless")
def test_account_without_a_name_gets_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the library that reads the entry from a file, which is removed afterwards."""
    library = tmp_path / "lib" / "libnss_wrapper.so"
    library.parent.mkdir()
    library.touch()
    monkeypatch.setattr(accounts, "LIBRARIES", (tmp_path / "none", library.parent))
    with named(tmp_path) as variables:
        assert variables["LD_PRELOAD"] == str(library)
        entry = Path(variables["NSS_WRAPPER_PASSWD"]).read_text()
        assert entry.split(":")[:3] == ["frontrow", "x", "54321"]
    assert [*tmp_path.iterdir()] == [library.parent]


@pytest.mark.usefixtures("nameless")
def test_account_without_a_name_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what can be done about it."""
    monkeypatch.setattr(accounts, "LIBRARIES", (tmp_path,))
    with (
        pytest.raises(SetupError, match="54321, which has no entry in /etc/passwd: add one"),
        named(tmp_path),
    ):
        pass


def test_account_with_a_name_needs_nothing(tmp_path: Path) -> None:
    """Nothing is preloaded."""
    with named(tmp_path) as variables:
        assert variables == {}


@pytest.mark.usefixtures("nameless")
def test_account_without_a_home_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where no data directory is named."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    with pytest.raises(SetupError, match="the account 54321 has no home: name a data directory"):
        default_data_dir()
