"""A writer of blobs that is killed in the middle leaves nothing that stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from marketplace.store.blobs import FolderBlobs


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def test_what_a_killed_writer_left_is_swept_away(tmp_path: Path) -> None:
    """The next start removes it; while a writer lives, nothing of its is touched."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _STUCK_WRITER, str(tmp_path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    with writer.stdout:
        assert writer.stdout.readline() == b"writing\n"
        FolderBlobs(tmp_path)
        assert len(files_in(tmp_path)) == 1

        writer.kill()
        writer.wait()
    FolderBlobs(tmp_path)

    assert files_in(tmp_path) == []


_STUCK_WRITER = """
import signal, sys
from marketplace.store.blobs import FolderBlobs
def stuck():
    yield b"half"
    print("writing", flush=True)
    signal.pause()
FolderBlobs(sys.argv[1]).put(stuck(), "00" * 32, 100)
"""
