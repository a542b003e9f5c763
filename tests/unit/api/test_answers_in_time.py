"""What bounds an answer while it arrives: how long it may take, and how much of it there is at once."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import httpcore
import pytest

from marketplace.api.client.deadlines import Deadline
from marketplace.api.client.decompression import PIECE_BYTES, unpacked
from marketplace.domain.errors import UnreadableAnswer

LONG = bytes(5 * PIECE_BYTES + 1)
PACKED = gzip.compress(LONG, mtime=0)
"""The same in every process: it is a part of a test's name."""


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", PACKED), (" GZIP ", PACKED), ("", LONG), ("identity", LONG)],
)
@pytest.mark.parametrize("cut", [1 << 30, 7])
def test_an_answer_comes_out_whole_and_in_small_pieces(encoding: str, body: bytes, cut: int) -> None:
    """However the line cuts it, and however much a few bytes stand for; what follows a gzip stream is not read."""
    pieces = [body[start : start + cut] for start in range(0, len(body), cut)]
    found = list(unpacked([*pieces, b"more"] if "zip" in encoding.lower() else pieces, encoding))

    assert b"".join(found) == LONG
    assert max(map(len, found)) <= PIECE_BYTES


@pytest.mark.parametrize(
    ("encoding", "pieces"),
    [
        ("gzip", [b"no gzip at all"]),
        ("gzip", [PACKED[:-9]]),
        ("gzip", [zlib.compress(b"x")]),
        ("gzip", []),
        ("br", [b"x"]),
    ],
)
def test_an_answer_that_is_not_whole_is_none(encoding: str, pieces: list[Any]) -> None:
    """Cut short, in another form, or in one that we do not know."""
    with pytest.raises(UnreadableAnswer):
        list(unpacked(pieces, encoding))


def test_a_deadline_waits_for_bytes_and_for_nothing_else() -> None:
    """What has arrived puts it off; when it is over, nothing is waited for."""
    over, ahead = Deadline(0, 1_000), Deadline(1_000, 1_000)
    with pytest.raises(httpcore.ReadTimeout):
        over.left_of(5)
    over.moved(1_000_000)

    assert 900 < over.left_of(None) <= 1_000
    assert ahead.left_of(5) == 5
    assert 900 < ahead.left_of(2_000) <= 1_000
