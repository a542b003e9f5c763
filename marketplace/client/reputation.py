"""A provider's reputation, computed by whoever wants to know it: from the chain's events, with nobody to be believed."""

from __future__ import annotations

from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address
from marketplace.domain.reputation import NEWCOMER, Reputation, replay_standings


def reputation_from_chain(market: MarketContract, provider: Address, at: BlockRef) -> Reputation:
    """What the market's events up to this block say, aged to it. Reads the whole history. Raises ChainUnavailable."""
    terms, follower = market.terms(), EventFollower(market.chain, market.address, confirmations=1)
    standings = replay_standings(follower.history(terms.deployed_at_block, at.number), terms.bond_floor)
    found = standings[provider].reputation if provider in standings else NEWCOMER
    return found.aged(at.timestamp)
