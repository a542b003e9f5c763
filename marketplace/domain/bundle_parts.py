"""Bundles in parts: cut and sent one by one, and read as if they were one file again."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence, Set
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256
from marketplace.domain.limits import MAX_PARTS, PART_BYTES


def part_sizes(total_bytes: int, parts: Sequence[Sha256], field: str, part_bytes: int = PART_BYTES) -> tuple[int, ...]:
    """How long each part is; raise InvalidField where so many bytes make another number of parts, or too many."""
    count = -(-total_bytes // part_bytes)
    if len(parts) != count or count > MAX_PARTS:
        rule = f"must be {count} for {total_bytes} bytes, at most {MAX_PARTS}: one for each {part_bytes} bytes"
        raise InvalidField(field, rule)
    return tuple(min(part_bytes, total_bytes - start) for start in range(0, total_bytes, part_bytes))


class PartStream:
    """Files one after the other as one stream for reading; at most one of them is open at a time.

    with PartStream(paths) as stream: unpack_bundle(stream, into, allowance)

    .consume()      from now on it is read once, in order: each file is deleted when the next one is begun, or all is over,
                    but for those that come again, in it or in ``kept``
    """

    def __init__(self, paths: Sequence[Path], kept: Set[Path] = frozenset()) -> None:
        self._paths, self._kept = paths, kept
        self._is_consumed = False
        self._starts = [0, *accumulate(path.stat().st_size for path in paths)]
        self._at = 0
        self._number = -1
        self._deleted = 0
        self._open: BinaryIO | None = None

    def __enter__(self) -> PartStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            self._open.close()
        if self._is_consumed and kind is None:
            self._delete_before(len(self._paths))

    def consume(self) -> None:
        self._is_consumed = True

    def _delete_before(self, number: int) -> None:
        coming = self._kept | set(self._paths[number:])
        for path in self._paths[self._deleted : number]:
            if path not in coming:
                path.unlink(missing_ok=True)
        self._deleted = number

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file's: from the beginning, from here, or from the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        """So many bytes; fewer only at the end."""
        pieces: list[bytes] = []
        while size > 0 and self._at < self._starts[-1]:
            piece = self._read_in_part(size)
            pieces.append(piece)
            self._at += len(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _read_in_part(self, size: int) -> bytes:
        number = bisect_right(self._starts, self._at) - 1
        stream = self._part(number)
        stream.seek(self._at - self._starts[number])
        piece = stream.read(min(size, self._starts[number + 1] - self._at))
        if not piece:
            raise InvalidField("bundle", f"part {number} is cut short")
        return piece

    def _part(self, number: int) -> BinaryIO:
        if self._open is None or number != self._number:
            if self._open:
                self._open.close()
            if self._is_consumed and number > self._deleted:
                self._delete_before(number)
            self._open, self._number = self._paths[number].open("rb"), number
        return self._open
