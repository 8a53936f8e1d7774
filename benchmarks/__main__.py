"""Runs everything of ``make bench``: the database calls alone, HTTP, the line, and others.

Exits 1 if a floor is missed.
"""

import subprocess
import sys

codes = []
for measurement in (
    "database",
    "http",
    "seat_maps",
    "line",
    "latency",
    "slots",
    "concerts",
    "cancellation",
    "best_seats",
    "pages",
):
    print(f"\n{measurement}\n", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{measurement}"]
    codes.append(subprocess.run(command, check=False).returncode)
sys.exit(max(codes))
