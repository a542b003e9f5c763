"""A job's log on disk: all of it, or its head and its tail and what is missing between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from marketplace.provider.executors.base import KeptLog
from marketplace.provider.executors.joblog import JobLog

LIMIT = 10_000


def lines(count: int) -> bytes:
    return b"".join(b"line %07d\n" % number for number in range(count))


def kept(path: Path, printed: bytes, *, piece: int, limit: int = LIMIT) -> tuple[KeptLog, bytes]:
    log = JobLog(path, limit)
    for start in range(0, len(printed), piece):
        log.add(printed[start : start + piece])
    return log.close(), path.read_bytes()


@pytest.mark.parametrize("count", [0, 1, 400, 700])
def test_a_log_within_the_limit_is_whole(count: int, tmp_path: Path) -> None:
    """What fits is there to the byte, in order, and nothing is said to be missing."""
    told, content = kept(tmp_path / "log", lines(count), piece=97)

    assert content == lines(count)
    assert told == KeptLog(len(content), len(content), 0)


@pytest.mark.parametrize("piece", [1, 97, 5_000, 1 << 22])
def test_a_log_beyond_the_limit_keeps_head_and_tail(piece: int, tmp_path: Path) -> None:
    """The beginning and the end are kept within the limit, a line between says what is missing, and the sum is exact."""
    printed = lines(2_000 if piece == 1 else 200_000)
    told, content = kept(tmp_path / "log", printed, piece=piece)
    head, tail = content.split(f"\n[sandbox] {told.missing_bytes} bytes of the log are missing here\n".encode())

    assert len(content) == told.bytes <= LIMIT
    assert told.missing_from == len(head)
    assert printed.startswith(head)
    assert printed.endswith(tail)
    assert len(head) + len(tail) + told.missing_bytes == len(printed)
    assert min(len(head), len(tail)) > LIMIT // 3


def test_the_file_only_grows(tmp_path: Path) -> None:
    """Whoever reads along by offset never sees a byte change: the head is there at once, the tail at the end."""
    log, path = JobLog(tmp_path / "log", LIMIT), tmp_path / "log"
    log.add(lines(2_000))
    before = path.read_bytes()
    log.close()

    assert before == lines(2_000)[: LIMIT // 2]
    assert path.read_bytes().startswith(before)


def test_a_file_that_cannot_be_written_loses_bytes_and_says_so(tmp_path: Path) -> None:
    """A full disk makes bytes missing; it does not make the log fail, and with it the job."""
    log = JobLog(tmp_path / "log", LIMIT)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, log._file)
    os.close(full)
    log.add(lines(100))

    assert log.close().missing_bytes == len(lines(100))
