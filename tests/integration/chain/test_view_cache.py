"""Leases read again and again on a real chain: asked for once, until something happens to them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import AnvilHandle
from marketplace.chain.market import MarketContract
from marketplace.chain.transactions import Sender
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.units import TokenUnits
from tests.integration.chain.conftest import DOLLAR, Trading


@pytest.fixture
def reader(anvil: AnvilHandle, trading: Trading) -> Iterator[MarketContract]:
    """Somebody else who looks at the market, with a connection of its own."""
    chain = Chain([anvil.rpc_url])
    yield MarketContract(chain, trading.book.market, deployed_at_block=trading.book.deployed_at_block)
    chain.close()


def views(reader: MarketContract) -> int:
    return reader.chain.calls.by_method.get("eth_call", 0)


def test_a_lease_is_asked_for_again_when_something_happens_to_it(trading: Trading, reader: MarketContract) -> None:
    """Not for other people's blocks; and what is told is always what the contract says at that block."""
    trading.fund(trading.client, 100 * DOLLAR)
    trading.fund(trading.provider, 100 * DOLLAR)
    offer, signed = trading.list(), trading.signed()
    trading.open(signed, offer)
    assert reader.lease_of(signed.id, reader.chain.head()).status is LeaseStatus.OPEN
    asked = views(reader)

    for amount in (1, 2, 3):
        trading.send(trading.client, verbs.withdraw(trading.book.market, trading.client.address, TokenUnits(amount)))
        assert reader.lease_of(signed.id, reader.chain.head()).status is LeaseStatus.OPEN
    assert views(reader) == asked

    trading.send(trading.provider, verbs.decline(trading.book.market, signed.order))
    head = reader.chain.head()
    assert reader.lease_of(signed.id, head) == trading.market.lease_of(signed.id)
    assert reader.lease_of(signed.id, head).status is LeaseStatus.NONE
    assert views(reader) == asked + 1


def test_a_balance_is_asked_for_again_when_the_market_said_anything(trading: Trading, reader: MarketContract) -> None:
    """Whose it is stands in the logs of only some of the verbs that move it."""
    trading.fund(trading.client, 100 * DOLLAR)
    before = reader.balance_of(trading.client.address, reader.chain.head())

    trading.send(trading.client, verbs.withdraw(trading.book.market, trading.client.address, TokenUnits(DOLLAR)))

    assert reader.balance_of(trading.client.address, reader.chain.head()) == before - DOLLAR


def test_looking_after_what_is_mined_costs_nothing_while_every_head_is_seen(
    trading: Trading, reader: MarketContract
) -> None:
    """The headers prove that its block is in the chain: no count has to be asked for."""
    trading.fund(trading.client, 100 * DOLLAR)
    sender = Sender(reader.chain, trading.client)
    sender.send(verbs.withdraw(trading.book.market, trading.client.address, TokenUnits(1)))
    counted = reader.chain.calls.by_method["eth_getTransactionCount"]

    for amount in (1, 2, 3):
        trading.send(trading.provider, verbs.approve(trading.book.token, trading.book.market, TokenUnits(amount)))
        sender.tend(reader.chain.head())

    assert reader.chain.calls.by_method["eth_getTransactionCount"] == counted
