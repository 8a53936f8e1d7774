"""Drives a load and measures it."""

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec
import psutil

Item = TypeVar("Item")


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """The figures of one load. CPU is this process's, Python and driver, without the database's."""

    what: str
    callers: int
    calls: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_call: float
    ratio: float | None = None
    """Relative to the same calls, one transaction each, in the same run."""
    database_us_per_call: float | None = None
    """CPU of the database's processes."""


async def drive(
    what: str, items: Iterable[Item], call: Callable[[Item], Awaitable[object]], *, callers: int
) -> Figure:
    """Makes one call for each item, ``callers`` of them concurrently."""
    waiting = iter(items)
    took: list[float] = []

    async def caller() -> None:
        for item in waiting:
            began = time.perf_counter()
            await call(item)
            took.append(time.perf_counter() - began)

    started, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    took.sort()
    return Figure(
        what,
        callers,
        len(took),
        round(len(took) / seconds, 1),
        round(took[len(took) // 2] * 1e3, 2),
        round(took[len(took) * 99 // 100] * 1e3, 2),
        round(cpu / len(took) * 1e6, 1),
    )


def tree_seconds(*processes: psutil.Process) -> float:
    """Returns the CPU of processes and of their children, including those that have ended."""
    used = 0.0
    for process in processes:
        used += sum(process.cpu_times()[:4])
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                used += sum(child.cpu_times()[:2])
    return used


def machine() -> dict[str, object]:
    """Returns the description of the machine."""
    return {
        "cpus": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": " ".join(os.uname()[i] for i in (0, 2, 4)),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
