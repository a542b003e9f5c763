"""A job that fails honestly: it works for a moment, finds that its input is not what it needs, and says so with exit code 3."""

import sys
from pathlib import Path

lines = Path("broken.py").read_text().splitlines()
print(f"read {len(lines)} lines of myself; looking for labels.csv", flush=True)
if not Path("labels.csv").exists():
    print("labels.csv is not among the inputs", file=sys.stderr, flush=True)
    sys.exit(3)
