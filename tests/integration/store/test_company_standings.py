"""Reputations of companies: an owner and the companies that it made have one, and nobody else can have a part in it (S-7)."""

from __future__ import annotations

import pytest
from redis import Redis

from marketplace.chain import company_verbs, verbs
from marketplace.chain.companies import Companies
from marketplace.chain.devnet import ANVIL_KEYS, increase_time
from marketplace.chain.signing import Key
from marketplace.client.reputation import reputation_from_chain
from marketplace.domain.ids import Address
from marketplace.domain.reputation import Outcome
from marketplace.domain.units import TokenUnits
from marketplace.services.projection import Projector
from marketplace.services.reconcile import reconcile_reputations
from tests.integration.chain.conftest import DOLLAR
from tests.integration.chain.lying_node import reorganise
from tests.integration.companies import make_company, with_finance
from tests.integration.store.test_projector import Indexing, indexing, level

__all__ = ["indexing"]

OWNER, STRANGER, OPERATOR = ANVIL_KEYS[6], ANVIL_KEYS[7], ANVIL_KEYS[8]


@pytest.fixture
def projector(indexing: Indexing) -> Projector:
    """The indexer of a market with finance, level."""
    trading = indexing.trading
    trading.book = with_finance(trading.chain, trading.market, trading.book, trading.arbiter.address)
    made = indexing.projector()
    level(made)
    return made


def company(indexing: Indexing, *, by: Key = OWNER, salt: int = 1) -> Address:
    """One in OWNER's name, with money for its bonds. Whoever makes it operates it by a key of its own."""
    trading = indexing.trading
    made = make_company(trading.market, OWNER.address, operator=OPERATOR if by == OWNER else by, by=by, salt=salt)
    units = TokenUnits(10 * DOLLAR)
    trading.send(trading.client, verbs.mint(trading.book.token, trading.client.address, units))
    trading.send(trading.client, verbs.approve(trading.book.token, trading.book.market, units))
    trading.send(trading.client, verbs.deposit(trading.book.market, made, units))
    return made


def is_expired(indexing: Indexing, provider: Address, operator: Key) -> None:
    """The provider is given a lease and never comes back."""
    trading = indexing.trading
    offer = trading.list(operator, through=None if provider == operator.address else provider)
    signed = indexing.accept()
    trading.open(signed, offer)
    increase_time(trading.chain, 1_000)
    trading.send(trading.opener, verbs.expire(trading.book.market, signed.order))


def is_paid(indexing: Indexing, provider: Address, operator: Key, *, client: Key | None = None) -> None:
    """The provider serves somebody for five minutes."""
    trading = indexing.trading
    offer = trading.list(operator, through=provider)
    signed = trading.signed(client)
    trading.open(signed, offer)
    increase_time(trading.chain, 300)
    trading.send(client or trading.client, verbs.terminate(trading.book.market, signed.order))


def counts(indexing: Indexing, provider: Address) -> dict[Outcome, int]:
    found = indexing.view().reputations.get(provider)
    return {outcome: tally.count for outcome, tally in found.tallies.items()} if found else {}


def test_a_bad_owners_new_company_begins_where_its_owner_stands(indexing: Indexing, projector: Projector) -> None:
    """What the owner's own key failed is held against every company that it makes, before that has served anybody."""
    trading = indexing.trading
    trading.fund(OWNER, 10 * DOLLAR)
    is_expired(indexing, OWNER.address, OWNER)
    level(projector)
    first = company(indexing)
    level(projector)

    view = indexing.view()
    assert counts(indexing, first) == {Outcome.EXPIRED: 1}
    assert view.reliability_of(first) == view.reliability_of(OWNER.address) < 9_000
    assert reputation_from_chain(trading.market, first, view.block) == view.reputations[first].aged(
        view.block.timestamp
    )


def test_what_a_company_did_is_its_owners_and_its_sisters(
    indexing: Indexing, projector: Projector, raw_redis: Redis
) -> None:
    """Good and bad outcomes of two companies make one standing, which an indexer that begins anew finds again, and a second computation too."""
    trading = indexing.trading
    first, second = company(indexing), company(indexing, salt=2)
    is_paid(indexing, first, OPERATOR)
    level(projector)
    is_expired(indexing, second, OPERATOR)
    third = company(indexing, salt=3)
    level(projector)

    everybody = (OWNER.address, first, second, third)
    assert [counts(indexing, one) for one in everybody] == [{Outcome.TERMINATED: 1, Outcome.EXPIRED: 1}] * 4
    assert indexing.board.projection.all_standings().keys() == {OWNER.address}
    assert reconcile_reputations(indexing.board.projection, trading.follower(), trading.market.terms()) == ()
    seen = indexing.view().reputations
    assert indexing.rebuilt_digest(raw_redis) == projector.digest()
    assert indexing.view().reputations == seen


def test_a_stranger_can_hang_no_failure_on_an_owner(indexing: Indexing, projector: Projector) -> None:
    """A company that somebody else made in the owner's name fails for itself alone, also where the owner has taken it over meanwhile."""
    trading, own = indexing.trading, company(indexing)
    theirs = company(indexing, by=STRANGER, salt=2)
    signed, offer = indexing.accept(), trading.list(STRANGER, through=theirs)
    trading.open(signed, offer)
    trading.send(OWNER, company_verbs.set_operator(theirs, OPERATOR.address))
    increase_time(trading.chain, 1_000)
    trading.send(trading.opener, verbs.expire(trading.book.market, signed.order))
    level(projector)

    assert counts(indexing, theirs) == {Outcome.EXPIRED: 1}
    assert counts(indexing, own) == counts(indexing, OWNER.address) == {}
    assert indexing.board.projection.all_rows().owners == {own: OWNER.address}


def test_a_stranger_gets_nothing_of_an_owners_good_name(indexing: Indexing, projector: Projector) -> None:
    """Who makes a company in the name of somebody that served well makes a newcomer."""
    own = company(indexing)
    is_paid(indexing, own, OPERATOR)
    theirs = company(indexing, by=STRANGER, salt=2)
    level(projector)

    view = indexing.view()
    assert view.reliability_of(own) > 9_000 == view.reliability_of(theirs)


def test_what_an_owner_buys_of_its_own_company_counts_nothing(indexing: Indexing, projector: Projector) -> None:
    """It pays itself: neither for the company nor for the owner, however it is paid."""
    indexing.trading.fund(OWNER, 10 * DOLLAR)
    own = company(indexing)
    is_paid(indexing, own, OPERATOR, client=OWNER)
    level(projector)

    reputation = indexing.view().reputations[own]
    assert {outcome: tally.count for outcome, tally in reputation.tallies.items()} == {Outcome.SELF_DEALT: 1}
    assert reputation.heard == 0


def test_a_company_whose_block_left_the_chain_has_nobodys_reputation(
    indexing: Indexing, projector: Projector, raw_redis: Redis
) -> None:
    """Its making is taken back with the block, row by row, and its owner keeps what is its own."""
    trading = indexing.trading
    trading.fund(OWNER, 10 * DOLLAR)
    is_expired(indexing, OWNER.address, OWNER)
    first = make_company(trading.market, OWNER.address, operator=OPERATOR, by=OWNER)
    level(projector)
    before = projector.digest()
    second = make_company(trading.market, OWNER.address, operator=OPERATOR, by=OWNER, salt=2)
    level(projector)
    assert counts(indexing, second) == {Outcome.EXPIRED: 1}

    reorganise(trading.chain, 1)
    level(projector)

    assert counts(indexing, second) == {}
    assert counts(indexing, first) == counts(indexing, OWNER.address) == {Outcome.EXPIRED: 1}
    assert indexing.board.projection.all_rows().owners == {first: OWNER.address}
    assert projector.repairs.rebuilt == 0
    assert projector.digest() != before  # another block, and nothing else
    kept = projector.digest()
    assert indexing.rebuilt_digest(raw_redis) == kept


def test_a_factory_that_comes_later_has_the_projection_made_anew(indexing: Indexing) -> None:
    """An indexer that knows of no factory heard nothing of companies: who knows of one reads all from the beginning."""
    trading = indexing.trading
    level(indexing.projector())
    trading.book = with_finance(trading.chain, trading.market, trading.book, trading.arbiter.address)
    own, known = make_company(trading.market, OWNER.address, operator=OPERATOR, by=OWNER), trading.market.companies
    trading.market.companies = Companies(trading.chain, None)
    level(indexing.projector())
    assert indexing.board.projection.all_rows().owners == {}
    trading.market.companies = known

    level(indexing.projector())

    assert indexing.board.projection.all_rows().owners == {own: OWNER.address}
