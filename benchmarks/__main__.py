"""Everything ``make bench`` measures: the database calls by themselves, then HTTP.

Exits 1 where a floor is missed.
"""

import subprocess
import sys

codes = []
for measurement in ("benchmarks.database", "benchmarks.http"):
    print(f"\n{measurement}\n", flush=True)
    codes.append(subprocess.run([sys.executable, "-m", measurement], check=False).returncode)
sys.exit(max(codes))
