"""The market's books, made from its events alone (I-12), beside what the contract and the token say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.chain.token import TokenContract
from marketplace.domain.blocks import BlockRef
from marketplace.domain.events import Event
from marketplace.domain.ids import Address
from marketplace.domain.ledger import Rows, locked_in, replay
from marketplace.domain.units import TokenUnits


@dataclass(frozen=True, slots=True)
class Books:
    """Everybody's money as of one block."""

    block: BlockRef
    accounts: Mapping[Address, TokenUnits]
    """Free balances."""
    locked: TokenUnits
    """In live leases: clients' locks and providers' bonds."""
    held: TokenUnits
    """The market's own balance of the token."""
    is_what_the_chain_says: bool
    """Whether every account here has the balance that the contract has, and every lease its status."""

    @property
    def is_balanced(self) -> bool:
        """I-1 with nobody donating: what the market holds is what it owes."""
        return self.held == sum(self.accounts.values()) + self.locked


def read_books(market: MarketContract, follower: EventFollower) -> Books:
    """Fold all events of the market up to its head, and compare row by row with the contract at that very block."""
    events: list[Event] = []
    cursor: BlockRef | None = None
    at = market.chain.head()
    while True:
        page = follower.follow(cursor, market.terms().deployed_at_block)
        if page.upto is None:
            break
        events += page.events
        at = cursor = page.upto
    floor = market.terms().bond_floor
    rows = replay(events, floor)
    live = [record for record in rows.leases.values() if record.lease.status.is_live]
    locked = sum(locked_in(record, rows.offers[record.lease.offer], floor) for record in live)
    held = TokenContract(market.chain, market.terms().token).balance_of(market.address, at)
    return Books(at, rows.accounts, TokenUnits(locked), held, _agrees(market, rows, at))


def _agrees(market: MarketContract, rows: Rows, at: BlockRef) -> bool:
    return all(market.balance_of(who, at) == free for who, free in rows.accounts.items()) and all(
        market.lease_of(identifier, at).status is record.lease.status for identifier, record in rows.leases.items()
    )
