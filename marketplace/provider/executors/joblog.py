"""Keeps a job's log: all of it if it is small enough, else its head and its tail, and how much is missing between."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from marketplace.provider.executors.base import KeptLog

_LINE_BYTES: Final = 128
"""As much is set aside for the line that tells of a gap."""
_SPARE_BYTES: Final = 1 << 20
"""The tail in memory may be so much longer than what is kept of it, so that it is not cut with each line."""
_LEAST_BYTES: Final = 1024
"""A log that is to be smaller has a head only."""


class JobLog:
    """One job's log while it grows. The file only ever grows, too: the tail waits in memory until the job is over.

    A file that cannot be written (the machine's disk is full) is no reason to end a job: what was not written is missing.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        has_tail = limit_bytes >= _LEAST_BYTES
        self._head_left = limit_bytes // 2 if has_tail else limit_bytes
        self._tail_limit = limit_bytes - self._head_left - _LINE_BYTES if has_tail else 0
        self._says_so = has_tail
        self._tail = bytearray()
        self._missing = self._written = 0

    def add(self, chunk: bytes) -> None:
        """Take what the job printed next."""
        head = chunk[: self._head_left]
        written = self._write(head)
        self._head_left -= written
        if written < len(head):
            self._head_left = 0  # what comes after a gap does not belong to the head
        self._tail += chunk[written:]
        if len(self._tail) > self._tail_limit + _SPARE_BYTES:
            self._shorten()

    def close(self) -> KeptLog:
        """Complete the file; say what it holds."""
        gap_at = self._written
        self._shorten()
        if self._missing and self._says_so:
            self._write(f"\n[sandbox] {self._missing} bytes of the log are missing here\n".encode())
        self._missing += len(self._tail) - self._write(bytes(self._tail))
        with contextlib.suppress(OSError):
            os.fsync(self._file)
        os.close(self._file)
        return KeptLog(self._written, gap_at if self._missing else self._written, self._missing)

    def _shorten(self) -> None:
        over = max(0, len(self._tail) - self._tail_limit)
        del self._tail[:over]
        self._missing += over

    def _write(self, content: bytes) -> int:
        """Write as much as the machine takes."""
        done = 0
        with contextlib.suppress(OSError):
            while done < len(content):
                done += os.write(self._file, content[done:])
        self._written += done
        return done
