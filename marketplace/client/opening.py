"""Which market it is that a client opens, and whether everybody speaks of the same one. The chain has the last word."""

from __future__ import annotations

from pathlib import Path

from marketplace.chain.blocks import Chain
from marketplace.chain.market import Market as ChainMarket
from marketplace.client.mandate import Mandate
from marketplace.domain.errors import TransactionReverted, WrongChain
from marketplace.domain.ids import Address
from marketplace.domain.models import MarketTerms


def terms_of_chain(market: ChainMarket) -> MarketTerms:
    """The market's own words; raise WrongChain where there is a contract that knows none of them."""
    try:
        return market.terms()
    except TransactionReverted as exc:
        raise WrongChain(f"a market at {market.address}", "another contract") from exc


def check_told(told: MarketTerms, found: MarketTerms) -> None:
    """Raise WrongChain where the gateway's words and the chain's are not of one market."""
    names = (
        "chain_id",
        "market",
        "token",
        "token_decimals",
        "start_grace",
        "claim_grace",
        "challenge_window",
        "bond_floor",
    )
    for name in names:
        if getattr(told, name) != getattr(found, name):
            raise WrongChain(f"{name} {getattr(found, name)} (the chain)", f"{getattr(told, name)} (the gateway)")


def folder_of(home: Path, market: ChainMarket, mandate: Mandate) -> Path:
    """One folder per chain, market and key, and in it one for each other account that the key acts for."""
    own = home / f"{_name_of(market.chain)}-{market.address[2:10]}" / mandate.signer
    return own if mandate.is_own else own / f"for-{mandate.account}"


def outbox_path(home: Path, chain: Chain, signer: Address) -> Path:
    """Where the key's transactions are kept: one place per chain, for the key has one row of nonces on all of its markets."""
    return home / "outboxes" / f"{_name_of(chain)}-{signer}.sqlite"


def _name_of(chain: Chain) -> str:
    """The genesis hash tells development chains apart that share an id."""
    return f"{chain.chain_id}-{chain.block(0).hash[2:10]}"
