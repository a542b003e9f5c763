"""The blocks that a snapshot names, held against the chain; and what is left to say of a round whose block a reorganisation took away.

Anyone can name a block that never was and call it reorganised. So such a round is never told as one that holds without a doubt: all that does
not rest on that block is checked as ever, and the rest is compared with the block of this chain that has its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from marketplace.chain.market import MarketContract
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import NodeRefused
from scheduler.audit.findings import Check, Finding, Verdict, found
from scheduler.audit.history import Batch
from scheduler.audit.word import CLOCKS_SECONDS
from scheduler.engine.documents.snapshot import Snapshot

_OF_STATE = frozenset({Check.OFFERS, Check.ACCOUNTS, Check.LEASES, Check.BUDGETS, Check.REPUTATIONS})
_UNSURE = "the snapshot's block has left the chain; this chain's block of that number differs, which that may explain:"


@dataclass(frozen=True, slots=True)
class Blocks:
    """What became of the snapshot's blocks."""

    finding: Finding
    snapshot: Snapshot
    gone: frozenset[BlockRef]
    """Blocks that this chain has another one for."""

    @property
    def is_state_gone(self) -> bool:
        """Whether what the snapshot says of the market's state was of a block that is not on this chain any more."""
        return self.snapshot.view.block in self.gone

    def weighed(self, findings: Sequence[Finding]) -> Iterator[Finding]:
        """A difference from this chain is a doubt where the snapshot was of another one."""
        for one in findings:
            rests = (one.check in _OF_STATE and self.is_state_gone) or (one.check is Check.MEMORY and bool(self.gone))
            if rests and one.verdict is Verdict.FAILED:
                yield replace(one, verdict=Verdict.WARNING, words=(_UNSURE, *one.words))
            else:
                yield one


def look_at_blocks(snapshot: Snapshot, market: MarketContract, ours: Sequence[Batch]) -> Blocks:
    """``ours``: the round's batches. A block that is not there yet, or is later than all that it led to, was made up."""
    faults, doubts, gone = list[str](), list[str](), set[BlockRef]()
    latest = max((batch.opened.ref.block.timestamp for batch in ours), default=None)
    for block in dict.fromkeys((snapshot.view.block, snapshot.now)):
        true = _block_at(market, block.number)
        if true is None:
            faults.append(f"block {block.number} is not there yet here, the snapshot says {block.hash}")
        elif true != block and latest is not None and block.timestamp > latest + CLOCKS_SECONDS:
            faults.append(f"block {block.number}, {block.hash}, is of a time after the round's last batch")
        elif true.hash == block.hash and true != block:
            faults.append(f"block {block.number} is of {true.timestamp}, the snapshot says {block.timestamp}")
        elif true != block:
            gone.add(block)
            doubts.append(
                f"block {block.number}: its block has left the chain by a reorganisation, if it ever was there: the snapshot says"
                f" {block.hash}, here it is {true.hash}; what the snapshot says of it could not be checked"
            )
    words = f"block {snapshot.view.block.number}, head {snapshot.now.number}: both on this chain"
    return Blocks(found(Check.BLOCK, faults, words, doubts=doubts), snapshot, frozenset(gone))


def _block_at(market: MarketContract, number: int) -> BlockRef | None:
    """This chain's block of that number; None where there is none yet, or the node has none."""
    try:
        return market.chain.block(number) if number <= market.chain.head().number else None
    except NodeRefused:
        return None
