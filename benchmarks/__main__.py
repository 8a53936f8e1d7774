"""Everything ``make bench`` measures: the database calls by themselves, then HTTP."""

import subprocess
import sys

for measurement in ("benchmarks.database", "benchmarks.http"):
    print(f"\n{measurement}\n", flush=True)
    subprocess.run([sys.executable, "-m", measurement], check=True)
