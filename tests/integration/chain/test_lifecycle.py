"""One lease's life through the wrapper, the verbs and the sender, on a real chain."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace.chain import verbs
from marketplace.chain.catalogue import Catalogue
from marketplace.chain.signing import order_id, receipt_id
from marketplace.domain import events
from marketplace.domain.chain_errors import TransactionReverted, WrongChain
from marketplace.domain.classes import load_classes
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.leases import NO_LEASE, LeaseStatus
from marketplace.domain.orders import Order
from marketplace.domain.receipts import Receipt
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import GpuCount, Seconds, TokenUnits, UnixTime
from marketplace.domain.wire import camel

pytestmark = pytest.mark.quick
DOLLAR = 1_000_000


def hexes(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(lambda content: "0x" + content.hex())


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


ORDER_TYPES = {
    "client": "address", "classes": "uint256", "offer": "uint40", "gpus": "uint16", "max_seconds": "uint32",
    "min_seconds": "uint32", "max_price": "uint80", "min_bond_bps": "uint16", "starts_at": "uint40",
    "expires_at": "uint40", "tip": "uint96", "opener": "address", "acceptor": "address", "arbiter": "address",
    "spec": "bytes32", "salt": "uint256",
}  # fmt: skip
ORDERS = st.builds(
    Order,
    **{
        name: hexes(20) if kind == "address" else hexes(32) if kind == "bytes32" else unsigned(int(kind[4:]))
        for name, kind in ORDER_TYPES.items()
    },
)
RECEIPTS = st.builds(
    Receipt,
    lease=hexes(32), offer=unsigned(40), opened_at=unsigned(40), used_seconds=unsigned(32), result=hexes(32),
    last=st.booleans(),
)  # fmt: skip
ON_ONE_CHAIN = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def by_another_library(order: Order, chain_id: int, market: Address) -> str:
    """The digest as an independent client computes it, from docs/reference/specification.md alone."""
    signable = encode_typed_data(
        full_message={
            "primaryType": "Order",
            "domain": {
                "name": "ComputeMarket", "version": "1", "chainId": chain_id, "verifyingContract": market,
            },
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"},
                ],
                "Order": [{"name": camel(name), "type": kind} for name, kind in ORDER_TYPES.items()],
            },
            "message": {camel(name): getattr(order, name) for name in ORDER_TYPES},
        }
    )  # fmt: skip
    return "0x" + keccak(b"\x19" + signable.version + signable.header + signable.body).hex()


@ON_ONE_CHAIN
@given(order=ORDERS)
def test_the_contract_gives_an_order_the_id_that_we_and_others_give_it(trading: Any, order: Order) -> None:
    """Contract, our own digest and an independent library agree on any order whatever."""
    market = trading.market

    assert market.order_id(order) == order_id(order, market.domain)
    assert market.order_id(order) == by_another_library(order, market.chain.chain_id, market.address)


@ON_ONE_CHAIN
@given(receipt=RECEIPTS)
def test_the_contract_gives_a_receipt_the_digest_that_we_give_it(trading: Any, receipt: Receipt) -> None:
    """Both sides sign what the contract will rebuild."""
    assert trading.market.receipt_id(receipt) == receipt_id(receipt, trading.market.domain)


def test_the_terms_are_those_of_the_deployment(trading: Any) -> None:
    """What the wrapper reads is what the market was born with."""
    terms = trading.market.terms()

    assert (terms.chain_id, terms.market, terms.token) == (31337, trading.book.market, trading.book.token)
    assert (terms.token_symbol, terms.token_decimals) == ("tUSD", 6)
    assert (terms.start_grace, terms.claim_grace) == (5, 15)
    assert (terms.challenge_window, terms.ruling_window, terms.bond_floor) == (15, 30, 100_000)
    assert terms.deployed_at_block == trading.book.deployed_at_block > 0


def test_the_catalogue_holds_the_committed_classes(trading: Any) -> None:
    """Numbers on the chain and in the file are the same."""
    catalogue = Catalogue(trading.chain, trading.book.catalogue)

    assert catalogue.classes() == load_classes()
    assert catalogue.class_of(load_classes()[3].number) == load_classes()[3]


def test_a_lease_lives_from_listing_to_withdrawal(trading: Any) -> None:
    """Money and GPUs are where the exit table puts them, to the last unit, at every step."""
    market, book, client, provider = trading.market, trading.book, trading.client, trading.provider
    trading.fund(client, 10 * DOLLAR)
    trading.fund(provider, 5 * DOLLAR)
    offer = trading.list()

    assert market.offer_of(offer.id) == offer
    assert market.offer_of(OfferId(99)) is None

    signed = trading.signed(gpus=GpuCount(2), tip=TokenUnits(7), opener=trading.opener.address)
    opened = trading.open(signed, offer)
    locked, bond = 2 * 2 * DOLLAR * 600 // 3600 + 1, 100_000

    lease_opened, batch = opened.events
    assert isinstance(lease_opened, events.LeaseOpened)
    assert (lease_opened.lease, lease_opened.order, lease_opened.offer) == (signed.id, signed.order, offer.id)
    assert isinstance(batch, events.BatchOpened)
    assert batch.opened == 1
    assert trading.free(client) == 10 * DOLLAR - locked - 7
    assert trading.free(provider) == 5 * DOLLAR - bond
    assert trading.free(trading.opener) == 7
    assert market.offer_of(offer.id).free == 2
    assert market.payee_of(signed.id) == provider.address
    assert market.status_of(signed.order) is LeaseStatus.OPEN

    lease = market.lease_of(signed.id)
    assert (lease.offer, lease.price, lease.opened_at) == (offer.id, offer.price, opened.block.timestamp)
    assert lease.tip_paid

    trading.at(lease.opened_at + 100)
    progress = trading.settle([trading.receipted(signed.order, 60, last=False)])
    trading.at(lease.opened_at + 130)
    last = trading.settle([trading.receipted(signed.order, 125, last=True)])

    earned = 2 * 2 * DOLLAR * 125 // 3600
    assert isinstance(progress.events[0], events.LeaseSettled)
    assert not progress.events[0].last
    assert isinstance(last.events[0], events.LeaseSettled)
    assert progress.events[0].paid + last.events[0].paid == earned
    assert trading.free(client) == 10 * DOLLAR - 7 - earned
    assert trading.free(provider) == 5 * DOLLAR + earned
    assert market.status_of(signed.order) is LeaseStatus.CLOSED
    assert market.payee_of(signed.id) is None
    assert (market.volume_of(offer.gpu_class).paid, market.volume_of(offer.gpu_class).gpu_seconds) == (earned, 250)

    for key in (client, provider, trading.opener):
        trading.send(key, verbs.withdraw(book.market, key.address, trading.free(key)))

    assert trading.token.balance_of(provider.address) == 5 * DOLLAR + earned
    assert trading.token.balance_of(book.market) == 0


def test_reads_at_a_block_do_not_see_what_came_later(trading: Any) -> None:
    """One block, one truth: a decision reads everything as of the same block."""
    before = trading.chain.head()
    trading.fund(trading.client, DOLLAR)
    offer = trading.list()
    after = trading.chain.head()

    assert trading.market.balance_of(trading.client.address, before) == 0
    assert trading.market.balance_of(trading.client.address, after) == DOLLAR
    assert trading.market.offer_of(offer.id, before) is None
    assert trading.market.lease_of(Bytes32("0x" + "00" * 32), after) == NO_LEASE
    assert trading.token.balance_of(trading.book.market, before) == 0


def test_a_wrong_address_is_noticed(trading: Any) -> None:
    """Reading where no contract is, is an error and not a zero."""
    nowhere = type(trading.market)(trading.chain, Address("0x" + "77" * 20))

    with pytest.raises(WrongChain):
        nowhere.terms()
    with pytest.raises(WrongChain):
        nowhere.balance_of(trading.client.address)


def test_a_refused_fill_comes_back_with_its_reason(trading: Any) -> None:
    """A batch opens what holds, and says in an event of its own why the rest does not."""
    trading.fund(trading.client, 10 * DOLLAR)
    trading.fund(trading.provider, DOLLAR)
    offer = trading.list()
    good, late = trading.signed(), trading.signed(expires_at=UnixTime(1))
    forged = trading.provider.sign_order(trading.order(), trading.market.domain)
    fills = [verbs.Fill(signed, offer.id, offer.price) for signed in (late, good, forged, good)]

    mined = trading.send(trading.opener, verbs.open_fills(trading.book.market, fills, Bytes32("0x" + "ab" * 32)))

    *found, batch = mined.events
    assert [(type(event), getattr(event, "reason", None)) for event in found] == [
        (events.FillRefused, Refusal.OrderExpired),
        (events.LeaseOpened, None),
        (events.FillRefused, Refusal.BadSignature),
        (events.FillRefused, Refusal.OrderLive),
    ]
    assert [found[0].order, found[0].offer, found[0].opener] == [late.id, offer.id, trading.opener.address]
    assert (batch.round, batch.opener, batch.opened) == ("0x" + "ab" * 32, trading.opener.address, 1)


def test_a_client_may_open_its_own_order_without_a_signature(trading: Any) -> None:
    """The way around a censoring gateway or scheduler needs no more than the chain."""
    trading.fund(trading.client, 10 * DOLLAR)
    trading.fund(trading.provider, DOLLAR)
    order = trading.order()
    unsigned_order = verbs.Fill(
        type(trading.signed())(trading.market.order_id(order), order, "0x"), OfferId(1), 2 * DOLLAR
    )
    trading.list()

    mined = trading.send(trading.client, verbs.open_fills(trading.book.market, [unsigned_order]))

    assert isinstance(mined.events[0], events.LeaseOpened)


def test_custom_errors_come_back_with_name_and_numbers(trading: Any) -> None:
    """Whatever the contract says no to is an exception of that name, before anything is sent."""
    trading.fund(trading.client, DOLLAR)
    order, market, client = trading.order(), trading.book.market, trading.client
    before = trading.chain.rpc("eth_getTransactionCount", client.address, "latest")
    attempts = {
        "BalanceTooLow": verbs.withdraw(market, client.address, TokenUnits(2 * DOLLAR)),
        "NotOpen": verbs.expire(market, order),
        "NotProvider": verbs.reprice(market, OfferId(9), order.max_price, UnixTime(1)),
        "ZeroAccount": verbs.deposit(market, Address("0x" + "00" * 20), TokenUnits(1)),
        "ERC20InsufficientAllowance": verbs.deposit(market, client.address, TokenUnits(10**18)),
    }

    for name, call in attempts.items():
        with pytest.raises(TransactionReverted) as raised:
            trading.send(client, call)
        assert raised.value.error_name == name

    with pytest.raises(TransactionReverted) as raised:
        trading.send(client, attempts["BalanceTooLow"])
    assert raised.value.arguments == {"account": client.address, "attempted": 2 * DOLLAR, "available": DOLLAR}
    assert trading.chain.rpc("eth_getTransactionCount", client.address, "latest") == before


def test_a_claim_is_paid_after_its_window(trading: Any) -> None:
    """A silent client cannot keep the provider's pay (P-23)."""
    trading.fund(trading.client, 10 * DOLLAR)
    trading.fund(trading.provider, DOLLAR)
    signed, market = trading.signed(), trading.book.market
    opened = trading.open(signed, trading.list()).block.timestamp
    trading.at(opened + 50)
    claimed = trading.send(trading.provider, verbs.claim(market, signed.order, Seconds(40), Bytes32("0x" + "11" * 32)))
    trading.at(claimed.block.timestamp + 5)
    early = trading.send(trading.opener, verbs.finalize(market, [signed.order]))
    trading.at(claimed.block.timestamp + 15)
    paid = trading.send(trading.opener, verbs.finalize(market, [signed.order]))

    assert isinstance(claimed.events[0], events.LeaseClaimed)
    assert isinstance(early.events[0], events.SettlementRefused)
    assert early.events[0].reason is Refusal.WindowOpen
    assert isinstance(paid.events[0], events.LeaseFinalized)
    assert paid.events[0].paid_seconds == 40
