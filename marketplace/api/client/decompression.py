"""Undoes the compression of an answer as it arrives, and never more at once than a reader asked for.

A few hundred kilobytes of gzip can stand for gigabytes. Each piece that comes out is small, so whoever counts them stops in time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from marketplace.domain.errors import UnreadableAnswer

PIECE_BYTES = 1 << 16
_GZIP_BITS = 31
"""zlib's word for a gzip header and its largest window."""


def unpacked(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The content of a body that is told to be ``identity`` or ``gzip``, in pieces of 64 KiB at most; else raise UnreadableAnswer."""
    match encoding.strip().lower():
        case "" | "identity":
            yield from _cut(pieces)
        case "gzip":
            yield from _gunzipped(pieces)
        case _:
            raise UnreadableAnswer("Content-Encoding", "must be identity or gzip")


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), PIECE_BYTES):
            yield piece[start : start + PIECE_BYTES]


def _gunzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP_BITS)
    try:
        for piece in pieces:
            rest = piece
            while rest and not unpacker.eof:
                content = unpacker.decompress(rest, PIECE_BYTES)
                rest = unpacker.unconsumed_tail
                if content:
                    yield content
        while not unpacker.eof and (content := unpacker.decompress(unpacker.unconsumed_tail, PIECE_BYTES)):
            yield content
    except zlib.error as exc:
        raise UnreadableAnswer("body", f"must be gzip, as its Content-Encoding says ({exc})") from None
    if not unpacker.eof:
        raise UnreadableAnswer("body", "must be whole: its gzip stream has no end")


def gathered(pieces: Iterable[bytes], most_bytes: int) -> bytes:
    """All pieces as one; raise UnreadableAnswer as soon as they are too many."""
    kept, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > most_bytes:
            raise UnreadableAnswer("body", f"must be at most {most_bytes} bytes")
        kept.append(piece)
    return b"".join(kept)
