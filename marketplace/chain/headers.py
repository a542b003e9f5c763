"""A block's header, as JSON-RPC gives it, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from marketplace.chain.shapes import is_bytes, is_quantity
from marketplace.domain.errors import ChainUnavailable
from marketplace.domain.ids import Bytes32
from marketplace.domain.models import BlockRef
from marketplace.domain.units import UnixTime

_NUMBER_BITS, _TIME_BITS = 48, 40
"""More blocks than a thousand a second make in a thousand years; and the width of the market's own times."""
_BLOOM_BITS: Final = 2048
_HASH_BITS: Final = 256


@dataclass(frozen=True, slots=True)
class Header:
    """What of a block's header matters here."""

    ref: BlockRef
    parent: Bytes32
    logs_bloom: int
    """2048 bits: which addresses and topics the block's logs may have. A bit that is missing proves that a log is, too."""
    base_fee_wei: int | None
    """Per gas; None on a chain without EIP-1559."""
    gas_limit: int


def header_of(found: Any, which: str) -> Header:
    """The header in an answer. Raises ChainUnavailable for null and for anything that is no header: another node may know."""
    if found is None:
        # A node behind a load balancer may lag behind the one that told us of the block.
        raise ChainUnavailable(f"the node does not know block {which} yet")
    if not isinstance(found, Mapping):
        raise ChainUnavailable(f"the node tells of block {which} what is no header")
    try:
        base_fee = found.get("baseFeePerGas")
        return Header(
            ref=BlockRef(
                _quantity(found["number"], _NUMBER_BITS),
                _bytes32(found["hash"]),
                UnixTime(_quantity(found["timestamp"], _TIME_BITS)),
            ),
            parent=_bytes32(found["parentHash"]),
            logs_bloom=_bits(found["logsBloom"], _BLOOM_BITS),
            base_fee_wei=None if base_fee is None else _quantity(base_fee),
            gas_limit=_quantity(found["gasLimit"]),
        )
    except (KeyError, ValueError) as exc:
        raise ChainUnavailable(f"the node tells of block {which} what is no header: {exc!r}") from exc


def block_ref(header: Any) -> BlockRef:
    """The reference to a block, from its header as JSON-RPC gives it. Raises ChainUnavailable as ``header_of`` does."""
    return header_of(header, "of a receipt").ref


def _quantity(text: Any, bits: int = 64) -> int:
    """The number, if it has no more bits than the chain itself gives it: nobody reckons on with what cannot be."""
    if not is_quantity(text) or int(text, 16) >> bits:
        raise ValueError(f"{str(text)[:80]!r} is no quantity of {bits} bits")
    return int(text, 16)


def _bits(text: Any, width: int) -> int:
    if not is_bytes(text) or len(text) != 2 + width // 4:
        raise ValueError(f"{str(text)[:80]!r} has not {width} bits")
    return int(text, 16)


def _bytes32(text: Any) -> Bytes32:
    _bits(text, _HASH_BITS)
    return Bytes32(text.lower())
