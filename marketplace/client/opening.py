"""Which market it is that a client opens, and whether everybody speaks of the same one. The chain has the last word."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from marketplace.api.client.gateway import GatewayApi, Retries
from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.fees import FeePolicy
from marketplace.chain.market import MarketContract
from marketplace.chain.outbox import OutboxFile
from marketplace.chain.signing import Key
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptOrder
from marketplace.client.mandate import Mandate
from marketplace.client.session import ClientSession
from marketplace.domain.chain_errors import TransactionReverted, WrongChain
from marketplace.domain.ids import Address
from marketplace.domain.market import MarketTerms


def market_in(book: AddressBook, rpc_urls: Sequence[str]) -> MarketContract:
    """The market that the address book names, on the chain that it names; raise WrongChain where another contract is there, or none."""
    chain = Chain(rpc_urls)
    chain.require_chain_id(book.chain_id)
    chain.require_market(book.market)
    market = MarketContract(
        chain, book.market, deployed_at_block=book.deployed_at_block,
        spv_factory=book.spv_factory, backstop_arbiter=book.backstop_arbiter,
    )  # fmt: skip
    try:
        market.terms()
    except TransactionReverted as exc:
        raise WrongChain(f"a market at {market.address}", "another contract") from exc
    return market


@dataclass(frozen=True, slots=True)
class GatewayLines:
    """A client's lines to its gateways."""

    api: GatewayApi
    """Patient: for what people wait for."""
    watching: GatewayApi
    """Asks once: what is watched is looked at again with the next block anyway."""
    each: tuple[GatewayApi, ...]
    """Every gateway by itself, asked once, the preferred one first."""


def lines_to(urls: Sequence[str], key: Key, mandate: Mandate, market: MarketContract) -> GatewayLines:
    """Lines to these gateways, the preferred one first, in the name of the account that the key acts for."""

    def speak(url: str, retries: Retries, others: Sequence[str] = ()) -> GatewayApi:
        return GatewayApi(
            url, key=key, domain=market.domain, block_time=lambda: market.chain.paced_head().timestamp, retries=retries,
            account=mandate.speaker, represented=mandate.represented, others=others,
        )  # fmt: skip

    first, others, once = urls[0], urls[1:], Retries(attempts=1)
    each = tuple(speak(url, once) for url in urls)
    return GatewayLines(speak(first, Retries(), others), speak(first, once, others), each)


def open_session(
    gateways: Sequence[str],
    rpc_urls: Sequence[str],
    key: Key,
    home: Path,
    address_book: AddressBook,
    *,
    account: Address | None = None,
    confirmations: int = 1,
    fees: FeePolicy | None = None,
    stop: threading.Event | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> ClientSession:
    """The session of the key, in the name of ``account``, on the market that the address book names; the preferred gateway comes first."""
    market = market_in(address_book, rpc_urls)
    mandate = Mandate(key, account or key.address, market)
    lines, folder = lines_to(gateways, key, mandate, market), folder_of(home, market, mandate)
    return ClientSession(
        key, market, lines.api, JobJournal(folder / "jobs.sqlite"), folder / "results", watching=lines.watching,
        gateways=lines.each, outbox=OutboxFile(outbox_path(home, market.chain, key.address)), fees=fees,
        confirmations=confirmations, stop=stop, account=mandate.account, variables=variables, packages=home / "packages",
    )  # fmt: skip


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


def folder_of(home: Path, market: MarketContract, mandate: Mandate) -> Path:
    """One folder per chain, market and key, and in it one for each other account that the key acts for."""
    own = home / f"{_name_of(market.chain)}-{market.address[2:10]}" / mandate.signer
    return own if mandate.is_own else own / f"for-{mandate.account}"


def own_orders(home: Path, market: MarketContract) -> list[KeptOrder]:
    """The orders that were posted from this home on this market, whichever of its keys signed them. Raises StoreUnavailable."""
    found = list[KeptOrder]()
    for path in sorted((home / f"{_name_of(market.chain)}-{market.address[2:10]}").glob("**/jobs.sqlite")):
        with closing(JobJournal(path)) as journal:
            found += [kept for job in journal.jobs() for kept in journal.orders(job.job.id) if kept.is_posted]
    return found


def outbox_path(home: Path, chain: Chain, signer: Address) -> Path:
    """Where the key's transactions are kept: one place per chain, for the key has one row of nonces on all of its markets."""
    return home / "outboxes" / f"{_name_of(chain)}-{signer}.sqlite"


def _name_of(chain: Chain) -> str:
    """The genesis hash tells development chains apart that share an id."""
    return f"{chain.chain_id}-{chain.block(0).hash[2:10]}"
