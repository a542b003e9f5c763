"""A transaction on its way: what is kept of it from before its broadcast until nobody can doubt it any more."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from marketplace.domain.ids import Address, Bytes32


class SendingState(StrEnum):
    """What became of a signed transaction, as far as we know."""

    UNMINED = "unmined"
    """May be in a pool, and may be mined. Broadcast again now and then."""
    MINED = "mined"
    """In a block that we saw. A reorganisation may take it back: then it is unmined again."""
    DROPPED = "dropped"
    """Not broadcast any more: its nonce is used by another, or the node refused it for good."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One signed transaction. Several of one nonce may exist (replacements); at most one of them is ever mined."""

    account: Address
    nonce: int
    name: str
    """What it is for. A call that carries the name of one whose end nobody was told is that one, and not signed again."""
    verb: str
    raw: str
    """0x-hex of the signed, typed envelope."""
    tx_hash: Bytes32
    since_block: int
    """The newest block when it was signed: it is in none before."""
    stake: int = 0
    """Token units that are lost if it comes too late; 0 where nothing is. A bound of what it may cost."""
    state: SendingState = SendingState.UNMINED
    block_number: int | None = None
    block_hash: Bytes32 | None = None
    why: str = ""
    is_told: bool = False
    """Whether whoever wanted it knows how it ended."""

    @property
    def is_live(self) -> bool:
        """Whether its nonce is its own: it is in a block, or may come into one."""
        return self.state is not SendingState.DROPPED
