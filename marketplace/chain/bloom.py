"""A block's bloom filter: what its header alone tells of the logs in the block (yellow paper, 4.3.1).

Every log sets three of 2048 bits for its address and three for each of its topics. A bit that is missing proves that a log is, too; a bit
that is set proves nothing. All logs of a block together set exactly the header's bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from eth_utils.crypto import keccak

_BITS: Final = 2048
_WORDS_KEPT: Final = 1 << 16


@lru_cache(maxsize=_WORDS_KEPT)
def bits_of(word: str) -> int:
    """The three bits that an address or a topic, as 0x-hex, sets."""
    digest = keccak(bytes.fromhex(word[2:]))
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << int.from_bytes(digest[at : at + 2], "big") % _BITS
    return bits


def may_hold(bloom: int, word: str) -> bool:
    """Whether a block with this bloom may have a log with this address or topic."""
    bits = bits_of(word)
    return bloom & bits == bits


def bloom_of(logs: Iterable[Mapping[str, Any]]) -> int:
    """The bloom of a block whose logs are these, all of them."""
    bloom = 0
    for word in {word for log in logs for word in (log["address"], *log["topics"])}:
        bloom |= bits_of(word)
    return bloom
