"""Who made which company, as factory and companies log it: the owner's own word, and nobody else's (S-7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from marketplace.chain.blocks import Chain
from marketplace.chain.company_logs import operator_topic
from marketplace.chain.devnet import ANVIL_KEYS, AnvilHandle, mine
from marketplace.chain.events import KEPT_BLOCKS, EventFollower
from marketplace.domain.chain_errors import ChainUnavailable
from marketplace.domain.events import Event, OfferListed, SpvCreated
from marketplace.domain.ids import Address
from tests.integration.chain.conftest import Trading
from tests.integration.chain.lying_node import lying
from tests.integration.companies import make_company, with_finance

OWNER, STRANGER, OPERATOR = ANVIL_KEYS[6], ANVIL_KEYS[7], ANVIL_KEYS[8]


@pytest.fixture
def founded(trading: Trading) -> tuple[Trading, Address]:
    """An offer, then a company that its owner made, one that a stranger made in the same name, and an offer again; the owner's own."""
    trading.book = with_finance(trading.chain, trading.market, trading.book, trading.arbiter.address)
    trading.list()
    own = make_company(trading.market, OWNER.address, operator=OPERATOR, by=OWNER)
    make_company(trading.market, OWNER.address, operator=STRANGER, by=STRANGER, salt=2)
    trading.list()
    return trading, own


def followed(trading: Trading, chain: Chain) -> list[Event]:
    factory = trading.market.companies.factory
    follower = EventFollower(chain, trading.book.market, confirmations=1, factory=factory)
    return list(follower.history(trading.book.deployed_at_block, chain.head().number))


@pytest.mark.parametrize("blocks", [0, KEPT_BLOCKS + 1])
def test_only_a_company_that_its_owner_made_is_told(founded: tuple[Trading, Address], blocks: int) -> None:
    """Between the market's own events, in the order of the chain; block by block near the head, and by ranges far below it."""
    trading, own = founded
    mine(trading.chain, blocks)

    told = [event for event in followed(trading, trading.chain) if isinstance(event, OfferListed | SpvCreated)]

    assert [type(event) for event in told] == [OfferListed, SpvCreated, OfferListed]
    made = told[1]
    assert isinstance(made, SpvCreated)
    assert (made.spv, made.owner) == (own, OWNER.address)


def test_who_names_no_factory_is_told_of_no_company(founded: tuple[Trading, Address]) -> None:
    """A market without finance has none; what it says is read as ever."""
    trading, _ = founded
    follower = EventFollower(trading.chain, trading.book.market, confirmations=1)
    told = list(follower.history(trading.book.deployed_at_block, trading.chain.head().number))

    assert not any(isinstance(event, SpvCreated) for event in told)
    assert sum(isinstance(event, OfferListed) for event in told) == 2


def test_a_company_whose_first_word_a_node_keeps_back_is_not_taken_for_a_strangers(
    founded: tuple[Trading, Address], anvil: AnvilHandle
) -> None:
    """Far below the head no bloom proves an answer whole: a company without its first log is an answer that is none."""
    trading, _ = founded
    mine(trading.chain, KEPT_BLOCKS + 1)

    def kept_back(_parameters: list[Any], result: Any) -> Any:
        return [log for log in result if log["topics"][0] != operator_topic()]

    with lying(anvil.rpc_url) as node:
        node.lies["eth_getLogs"] = kept_back
        with pytest.raises(ChainUnavailable, match="first log of company"):
            followed(trading, Chain([node.url]))


@pytest.mark.parametrize("topics", [lambda told: told[:1], lambda told: [*told, told[0]], lambda told: len(told)])
def test_a_creation_that_a_node_tells_in_part_is_no_answer(
    founded: tuple[Trading, Address], anvil: AnvilHandle, topics: Callable[[list[str]], Any]
) -> None:
    """Not one that nobody made, nor the end of whoever reads it: another node is asked."""
    trading, _ = founded
    mine(trading.chain, KEPT_BLOCKS + 1)
    factory = trading.market.companies.factory

    def cut(_parameters: list[Any], result: Any) -> Any:
        return [log | {"topics": topics(log["topics"])} if log["address"] == factory else log for log in result]

    with lying(anvil.rpc_url) as node:
        node.lies["eth_getLogs"] = cut
        with pytest.raises(ChainUnavailable):
            followed(trading, Chain([node.url]))
