"""What a node says when it is given a transaction. Nodes tell refusals apart by words only, and by other words each.

Nothing here proves anything: a node may say no and have it all the same, or lag behind the one that has it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from marketplace.chain.blocks import Chain
from marketplace.domain.chain_errors import ChainError, ChainUnavailable, NodeRefused, TransactionReverted
from marketplace.domain.ids import Bytes32


class PoolAnswer(StrEnum):
    """How a node took a transaction."""

    ACCEPTED = "accepted"
    KNOWN = "already known"
    NONCE_TOO_LOW = "its nonce is used"
    UNDERPRICED = "another of its nonce waits, which pays as much or nearly"
    BELOW_BASE = "its fee cap is below what the next block costs"
    NO_FUNDS = "the account cannot pay for the gas"
    TOO_LARGE = "it needs more gas, or is larger, than a block or a pool takes"
    INVALID = "no node of this chain can take it"
    UNCLEAR = "no clear answer: it may have it, or not"


_WORDS: Final[tuple[tuple[PoolAnswer, tuple[str, ...]], ...]] = (
    (PoolAnswer.KNOWN, ("already known", "known transaction", "already imported", "alreadyknown", "already exists", "already in mempool", "transaction already in pool")),
    (PoolAnswer.NONCE_TOO_LOW, ("nonce too low", "nonce is too low", "oldnonce", "invalid nonce; got", "nonce has already been used")),
    (PoolAnswer.UNDERPRICED, ("replacement transaction underpriced", "underpriced", "replacementnotallowed", "replacement not allowed", "feetoolow", "feetoolowtocompete", "gas price too low to replace")),
    (PoolAnswer.BELOW_BASE, ("less than block base fee", "lower than the block base fee", "max fee per gas less than", "fee cap less than block", "maxfeepergas is lower", "below the block base fee", "gas price below")),
    (PoolAnswer.NO_FUNDS, ("insufficient funds", "insufficient balance", "upfront cost exceeds", "not enough balance", "overshot")),
    (PoolAnswer.TOO_LARGE, ("exceeds block gas limit", "gas limit is too high", "gas limit too high", "intrinsic gas too low", "intrinsic gas too high", "exceeds the block gas limit", "gaslimitexceeded", "oversized data", "exceeds max transaction gas", "gas uint64 overflow", "tx gas limit")),
    (PoolAnswer.INVALID, ("invalid sender", "invalid chain id", "chain id does not match", "transaction type not supported", "invalid signature", "rlp")),
)  # fmt: skip
"""In this order: "replacement transaction underpriced" is also "underpriced". geth, erigon, nethermind, besu, reth, anvil."""

GONE_FOR_GOOD: Final = frozenset({PoolAnswer.TOO_LARGE, PoolAnswer.INVALID})
"""Answers to a first broadcast after which it is not tried again: another call takes the nonce, and only one can be mined."""


def give(chain: Chain, raw: str, tx_hash: Bytes32) -> tuple[PoolAnswer, str]:
    """Broadcast; how the node took it, and its words. Never raises for what a node says."""
    try:
        answered = chain.rpc("eth_sendRawTransaction", raw)
    except ChainError as exc:
        return answer_of(exc), str(exc)
    return accepted_as(answered, tx_hash)


def accepted_as(answered: object, tx_hash: Bytes32) -> tuple[PoolAnswer, str]:
    """A node that takes a transaction answers with its hash; anything else is no answer."""
    if answered == tx_hash:
        return PoolAnswer.ACCEPTED, ""
    return PoolAnswer.UNCLEAR, f"it answers {str(answered)[:80]!r}"


def answer_of(error: ChainError) -> PoolAnswer:
    """What the node's words mean."""
    if isinstance(error, ChainUnavailable | TransactionReverted) or not isinstance(error, NodeRefused):
        return PoolAnswer.UNCLEAR
    said = error.message.lower()
    return next((answer for answer, words in _WORDS if any(word in said for word in words)), PoolAnswer.UNCLEAR)
