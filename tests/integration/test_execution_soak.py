"""What jobs in images and machines that somebody sat at leave behind: a few of each here, hundreds in `make deep PART=exec`."""

from __future__ import annotations

from pathlib import Path

from tests.integration.execution_soak import leaks


def test_nothing_is_left(tmp_path: Path) -> None:
    """However a job in an image ends, and after somebody sat at a machine: no process, mount, group, file or descriptor is left."""
    assert leaks(tmp_path, 2, 1) == []
