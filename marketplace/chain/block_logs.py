"""The logs of single blocks, by block hash, proven complete by the block's own bloom filter.

A node that lags or lies answers ``[]``, or leaves logs out, and no error says so. All logs of a block set exactly the bits of its header's
bloom, and their indices count from 0: so the whole block's logs are asked for, and an answer that is not all of them is not believed. The
block's receipts are asked then; where those are not whole either, the node is behind, and nothing was read. What this cannot see is a last
log left out whose address and topics the block has once more, such as a second deposit into one account: reconciling finds that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marketplace.chain.blocks import Chain
from marketplace.chain.bloom import bloom_of, may_hold
from marketplace.chain.company_logs import with_first_words
from marketplace.chain.headers import Header
from marketplace.domain.chain_errors import ChainUnavailable, NodeRefused
from marketplace.domain.ids import Address

Log = Mapping[str, Any]


class BlockLogs:
    """One contract's logs, block by block; and what the factory of its companies says of them."""

    def __init__(self, chain: Chain, address: Address, factory: Address | None = None) -> None:
        self._chain, self._factory = chain, factory
        self._sources = (address, factory) if factory else (address,)
        self.proven_by_receipts = 0
        """How often the logs were not all there and the receipts were."""

    def of(self, headers: Sequence[Header]) -> list[Log]:
        """The logs in these blocks, in their order. Blocks whose bloom excludes contract and factory cost no call.

        Raises ChainUnavailable where the node does not have them, or not all of them.
        """
        asked = [header for header in headers if any(may_hold(header.logs_bloom, one) for one in self._sources)]
        found: list[Log] = []
        for header, answer in zip(asked, self._answers(asked), strict=True):
            logs = answer if is_whole(answer, header) else self._from_receipts(header)
            found += with_first_words(logs, self._sources, self._factory)
        return found

    def _answers(self, headers: Sequence[Header]) -> list[Any]:
        """What the node says are the blocks' logs; None for each where none of that is an answer: its receipts may be."""
        try:
            return self._chain.batch([("eth_getLogs", [{"blockHash": header.ref.hash}]) for header in headers])
        except ChainUnavailable:
            return [None] * len(headers)

    def _from_receipts(self, header: Header) -> list[Log]:
        """The block's logs out of its receipts. Raises ChainUnavailable where they are not all there either."""
        try:
            receipts = self._chain.rpc("eth_getBlockReceipts", header.ref.hash)
        except NodeRefused:
            receipts = self._one_by_one(header)  # an older node, which has no such method
        logs = _logs_in(receipts)
        if not is_whole(logs, header):
            raise ChainUnavailable(f"the node does not have all logs of block {header.ref.number} yet")
        self.proven_by_receipts += 1
        return logs

    def _one_by_one(self, header: Header) -> list[Any]:
        block = self._chain.rpc("eth_getBlockByHash", header.ref.hash, False)
        hashes = block.get("transactions") if isinstance(block, Mapping) else None
        if not isinstance(hashes, list):
            raise ChainUnavailable(f"the node does not have the transactions of block {header.ref.number} yet")
        return self._chain.batch([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in hashes])


def is_whole(logs: Any, header: Header) -> bool:
    """Whether these are all logs of the block, in their order, and nothing else."""
    if not isinstance(logs, list):
        return False
    try:
        block, number = header.ref.hash, header.ref.number
        is_of_block = all(
            log["blockHash"] == block and int(log["blockNumber"], 16) == number and not log.get("removed")
            for log in logs
        )
        counted = [int(log["logIndex"], 16) for log in logs] == list(range(len(logs)))
        return is_of_block and counted and bloom_of(logs) == header.logs_bloom
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _logs_in(receipts: Any) -> list[Log]:
    """The logs of these receipts, in their order; none where anything is missing."""
    if not isinstance(receipts, list) or not all(isinstance(one, Mapping) for one in receipts):
        return []
    logs = [receipt.get("logs") for receipt in receipts]
    return [log for some in logs for log in some] if all(isinstance(some, list) for some in logs) else []
