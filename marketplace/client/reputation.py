"""A provider's reputation, computed by whoever wants to know it: from the chain's events, with nobody to be believed."""

from __future__ import annotations

from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address
from marketplace.domain.reputation import Reputation, replay_with_owners, standing_of


def reputation_from_chain(market: MarketContract, provider: Address, at: BlockRef) -> Reputation:
    """What the market's events up to this block say, and whose companies are whose, aged to it. Reads the whole history.

    Raises ChainUnavailable.
    """
    terms, factory = market.terms(), market.companies.factory
    follower = EventFollower(market.chain, market.address, confirmations=1, factory=factory)
    events = follower.history(terms.deployed_at_block, at.number)
    standings, owners = replay_with_owners(events, terms.bond_floor)
    return standing_of(provider, standings, owners).reputation.aged(at.timestamp)
