"""Runs things as a user without any right on this machine, as on one where an agent is not root."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from marketplace.provider.executors import launch
from tests.integration.bubblewrap_escapes import all_tried
from tests.integration.bubblewrap_jobs import ROOT, executor_at

ORDINARY_USER = 61_190


def become_ordinary(needed: list[Path]) -> None:
    """In a mount namespace of our own, make the folders reachable, and become a user that owns nothing."""
    launch.called("unshare", 0x20000)
    launch.called("mount", None, b"/", None, 1 << 18 | 1 << 14, None)
    for folder in needed:
        closed = next((above for above in reversed(folder.parents) if not above.stat().st_mode & 0o005), None)
        if closed is not None:
            handle = os.open(folder, os.O_PATH)
            source = f"/proc/self/fd/{handle}".encode()
            launch.called("mount", b"tmpfs", str(closed).encode(), b"tmpfs", 0, b"mode=0755")
            folder.mkdir(parents=True)
            launch.called("mount", source, str(folder).encode(), None, 1 << 12 | 1 << 14, None)
            os.close(handle)
    os.setgroups([])
    os.setresgid(*[ORDINARY_USER] * 3)
    os.setresuid(*[ORDINARY_USER] * 3)


if __name__ == "__main__":
    become_ordinary([Path(sys.base_prefix), ROOT])
    here = Path(sys.argv[1])
    print(json.dumps(all_tried(executor_at(here, None), None, here)))
