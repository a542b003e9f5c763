"""From settings to what a client needs: key, chain, market. The servers are put together in ``processes``."""

from __future__ import annotations

from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.constants import WINDOWS
from marketplace.chain.events import EventFollower
from marketplace.chain.fees import FeePolicy
from marketplace.chain.keystore import load_key
from marketplace.chain.market import MarketContract
from marketplace.chain.outbox import Outbox
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.client.market import Market
from marketplace.client.trust import TrustRoots, roots_of
from marketplace.config import Settings, variables
from marketplace.daemon import Stop
from marketplace.domain.chain_errors import WrongChain
from marketplace.domain.errors import InvalidField
from marketplace.domain.units import units_from_text
from marketplace.provider.gpus.cdi import CDI_FOLDERS
from marketplace.provider.gpus.nvml import Nvml
from marketplace.provider.gpus.rig import GpuRig
from marketplace.services.books import Books, read_books

GWEI_DECIMALS = 9
WEI_PER_COIN = 10**18


def open_key(settings: Settings) -> Key:
    """The key of this process, from its keystore and password file."""
    settings.require("keystore", "keystore_password_file")
    assert settings.keystore, "required above"
    assert settings.keystore_password_file, "required above"
    return load_key(settings.keystore, settings.keystore_password_file)


def open_chain_market(settings: Settings) -> MarketContract:
    """The market that the address book names, on the chain that it names. Raises ConfigError, WrongChain, ChainUnavailable."""
    settings.require("rpc_urls", "address_book")
    book = open_address_book(settings)
    chain = Chain(settings.rpc_urls)
    chain.log_blocks = settings.log_blocks
    chain.require_market(book.market, chain_id=book.chain_id)
    market = MarketContract(
        chain, book.market, deployed_at_block=book.deployed_at_block,
        spv_factory=book.spv_factory, backstop_arbiter=book.backstop_arbiter,
    )  # fmt: skip
    _hold_against_record(market, book)
    return market


def _hold_against_record(market: MarketContract, book: AddressBook) -> None:
    """Windows are read once and decide when a claim is due: a false answer must not last as long as the process. Raises WrongChain."""
    if book.record is None:
        return
    terms, expected = market.terms(), book.record.constants
    for name in (*WINDOWS, "bond_floor"):
        if getattr(terms, name) != getattr(expected, name):
            raise WrongChain(f"{name} {getattr(expected, name)} (the address book)", str(getattr(terms, name)))


def fee_policy(settings: Settings, decimals: int | None = None) -> FeePolicy:
    """How much transactions may cost, by the settings; ``decimals``: of the market's token, where something may be at stake.

    Raises InvalidField."""
    most_wei = units_from_text(settings.most_fee_gwei, GWEI_DECIMALS, field="BOURSE_MOST_FEE_GWEI")
    if decimals is None or not settings.coin_price:
        return FeePolicy(most_wei)
    units = units_from_text(settings.coin_price, decimals, field="BOURSE_COIN_PRICE")
    if not units:
        raise InvalidField("BOURSE_COIN_PRICE", "must be more than 0: leave it away where it is not known")
    return FeePolicy(most_wei, WEI_PER_COIN // units)


def open_sender(settings: Settings, market: MarketContract, key: Key, outbox: Outbox) -> Sender:
    """Who sends this process's transactions."""
    fees = fee_policy(settings, market.terms().token_decimals)
    return Sender(market.chain, key, outbox, confirmations=settings.confirmations, fees=fees)


def open_rig(settings: Settings) -> GpuRig:
    """The GPUs of this machine. Nobody has looked at them yet."""
    return GpuRig(Nvml(settings.nvml), (settings.cdi,) if settings.cdi else CDI_FOLDERS)


def open_address_book(settings: Settings) -> AddressBook:
    """Where the market lives."""
    settings.require("address_book")
    assert settings.address_book, "required above"
    return AddressBook.read(settings.address_book)


def open_market(settings: Settings, *, stop: Stop | None = None, account: str | None = None) -> Market:
    """The SDK's market for the key of these settings, in the name of ``account`` where that is another's."""
    settings.require("gateway_url", "rpc_urls", "address_book")
    book = open_address_book(settings)
    told = roots_of(settings.opener, settings.arbiter)
    market = Market.connect(
        settings.gateway_url, settings.rpc_urls, open_key(settings), settings.home,
        address_book=book, other_gateways=settings.other_gateways, confirmations=settings.confirmations, fees=fee_policy(settings), stop=stop,
        account=account, variables=variables(), roots=TrustRoots(told.opener or book.opener, told.arbiter or book.arbiter),
    )  # fmt: skip
    market.chain.log_blocks = settings.log_blocks
    return market


def audit(settings: Settings) -> Books:
    """The market's books from its events, and whether the chain agrees."""
    market = open_chain_market(settings)
    try:
        return read_books(market, EventFollower(market.chain, market.address, confirmations=1))
    finally:
        market.chain.close()
