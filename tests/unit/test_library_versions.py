"""Which versions benchmarks.libraries compares, and its bounds and medians of benchmarks.http."""

from benchmarks.http import Measured
from benchmarks.libraries import Pair, changed, locked
from benchmarks.load import Result

LOCK = """\
asyncpg==0.31.0 \\
    --hash=sha256:0
uvloop==0.22.1 ; sys_platform != 'win32' \\
    --hash=sha256:1
rich==14.0.0 \\
    --hash=sha256:2
"""


def costs(cpu_us: float, per_second: float = 10_000) -> Result:
    """A result with this CPU per request and throughput."""
    return Result(per_second, 1.0, 2.0, cpu_us, 1000, 0)


def test_libraries_of_a_lock_file_are_found() -> None:
    """Only those of the request path, whatever is behind the version."""
    assert locked(LOCK) == {"asyncpg": "asyncpg==0.31.0", "uvloop": "uvloop==0.22.1"}


def test_changed_versions_are_compared() -> None:
    """Each with the one before; without a change with the newest release."""
    newer = locked(LOCK.replace("0.22.1", "0.23.0"))
    assert changed(locked(LOCK), newer) == [Pair("uvloop==0.22.1", "uvloop==0.23.0")]
    assert changed(newer, newer) == [
        Pair("asyncpg==0.31.0", "asyncpg"),
        Pair("uvloop==0.23.0", "uvloop"),
    ]


def test_cost_above_the_bare_handler_is_compared_with_the_one_before() -> None:
    """The bare handler's own cost is no part of it."""
    one = Measured("hold", costs(60), costs(30), costs(80, 20_000), costs(80))
    assert (one.of_bare, one.of_before, one.of_empty) == (2.0, 0.6, 0.5)
    assert one.missed == []


def test_missed_bounds_are_named() -> None:
    """A poll that costs more than a third above the bare handler, and a slow one."""
    poll = Measured("status poll, token seen before", costs(41), costs(30), costs(80), None)
    assert poll.missed == ["status poll, token seen before: CPU"]
    slow = Measured("pay", costs(99, 100), costs(30), costs(80), costs(99))
    assert slow.missed == ["pay: throughput", "pay: CPU above bare"]
