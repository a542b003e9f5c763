#!/usr/bin/env python3
"""Make the job runtime (.runtime) from requirements/runtime.txt, unless it is there already."""

from pathlib import Path

from marketplace.provider.runtime import make_runtime

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    runtime = make_runtime(ROOT / ".runtime", ROOT / "requirements" / "runtime.txt")
    print(f"job runtime: Python {runtime.version} in {runtime.folder.relative_to(ROOT)}")
