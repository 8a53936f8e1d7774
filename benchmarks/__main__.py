"""Everything ``make bench`` measures: the database calls by themselves, HTTP, the line, the rest.

Exits 1 where a floor is missed.
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
    "cancellation",
    "best_seats",
    "pages",
):
    print(f"\n{measurement}\n", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{measurement}"]
    codes.append(subprocess.run(command, check=False).returncode)
sys.exit(max(codes))
