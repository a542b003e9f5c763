"""Accounts that are contracts: asking one whether a signature is its own (EIP-1271), as the market itself asks."""

from __future__ import annotations

from typing import Final

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from marketplace.chain.blocks import Chain
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import NodeRefused, TransactionReverted
from marketplace.domain.ids import Address, Bytes32

_SELECTOR = keccak(b"isValidSignature(bytes32,bytes)")[:4]
_MAGIC = "0x" + _SELECTOR.hex().ljust(64, "0")

WALLET_GAS: Final = 100_000
"""What the market grants a wallet for its answer."""
_INTRINSIC_GAS, _GAS_PER_BYTE = 21_000, 16


def is_approved_by(chain: Chain, wallet: Address, digest: Bytes32, signature: str, at: BlockRef) -> bool:
    """Whether ``wallet`` is a contract that takes the signature for its own. What fails, or says anything else, is no."""
    content = bytes.fromhex(signature.removeprefix("0x"))
    question = _SELECTOR + encode(["bytes32", "bytes"], [bytes.fromhex(digest[2:]), content])
    gas = WALLET_GAS + _INTRINSIC_GAS + _GAS_PER_BYTE * len(question)
    message = {"to": wallet, "data": "0x" + question.hex(), "gas": hex(gas)}
    try:
        answer = chain.rpc("eth_call", message, {"blockHash": at.hash})
    except (TransactionReverted, NodeRefused):
        return False
    return str(answer)[: len(_MAGIC)] == _MAGIC
