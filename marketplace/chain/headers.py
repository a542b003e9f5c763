"""A block's header, as JSON-RPC gives it, typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from eth_utils.crypto import keccak

from marketplace.chain.rpc_shapes import is_bytes, is_quantity
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainUnavailable, NodeRefused
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime

_NUMBER_BITS, _TIME_BITS = 48, 40
"""More blocks than a thousand a second make in a thousand years; and the width of the market's own times."""
_BLOOM_BITS: Final = 2048
_HASH_BITS: Final = 256

_QUANTITIES: Final = frozenset(
    {"difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas"}
)
_FIELDS: Final = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty", "number",
    "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce", "baseFeePerGas", "withdrawalsRoot", "blobGasUsed",
    "excessBlobGas", "parentBeaconBlockRoot", "requestsHash",
)  # fmt: skip
"""Of a standard header, in the order in which they are hashed; those that came with a fork are absent before it."""
_SHORT_BYTES: Final = 55


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


class HeaderReader:
    """Headers of one chain, each held against its own hash: a field that is not the block's does not hash to the block's name.

    Some chains hash other things than the standard ones, and there nothing can be checked. Which kind this one is, the first header tells, and where that
    one does not hash to its name, the genesis block; one header that ever did proves that all must. Safe to share between threads.
    """

    def __init__(self, genesis: Callable[[], Any]) -> None:
        self._genesis = genesis
        self._is_standard: bool | None = None

    def read(self, found: Any, which: str, *, may_ask: bool = True) -> Header:
        """As ``header_of``; raises ChainUnavailable also where the header is not what its hash says.

        ``may_ask`` is false on a thread that no answer can reach.
        """
        header = header_of(found, which)
        if standard_hash(found) == header.ref.hash:
            self._is_standard = True
        elif header.ref.number == 0 and self._is_standard is None:
            self._is_standard = False
        elif self._is_standard or (self._is_standard is None and not (may_ask and self._has_own_form())):
            raise ChainUnavailable(f"the node tells of block {which} what does not hash to its name")
        return header

    def _has_own_form(self) -> bool:
        """Whether the chain's headers are not hashed as usual, by its genesis block. A node that does not show it cannot be held to it."""
        try:
            genesis = self._genesis()
            self._is_standard = genesis is not None and standard_hash(genesis) == header_of(genesis, "0").ref.hash
        except NodeRefused:
            self._is_standard = False
        return not self._is_standard


def standard_hash(found: Mapping[str, Any]) -> Bytes32 | None:
    """What a header's fields hash to (keccak of their RLP); None where one is missing or is none. Takes some 50 microseconds."""
    try:
        content = b"".join(_item(_raw(name, found[name])) for name in _FIELDS if found.get(name) is not None)
    except ValueError:
        return None
    return Bytes32("0x" + keccak(_prefixed(content, 0xC0)).hex())


def _raw(name: str, text: Any) -> bytes:
    if name in _QUANTITIES:
        number = _quantity(text, _HASH_BITS)
        return number.to_bytes((number.bit_length() + 7) // 8)
    if not is_bytes(text):
        raise ValueError(f"{name} is no bytes")
    return bytes.fromhex(text[2:])


def _item(raw: bytes) -> bytes:
    return raw if len(raw) == 1 and raw[0] < 0x80 else _prefixed(raw, 0x80)


def _prefixed(content: bytes, kind: int) -> bytes:
    """RLP: the length before the content."""
    length = len(content)
    if length <= _SHORT_BYTES:
        return bytes([kind + length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([kind + _SHORT_BYTES + len(size)]) + size + content


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
