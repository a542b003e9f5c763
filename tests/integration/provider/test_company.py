"""An agent that serves as a company: it lists, signs, claims and speaks for a provider that is code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.chain import company_verbs, verbs
from marketplace.chain.companies import Companies
from marketplace.chain.deployment import carry_out, plan_deployment
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.finance import finance_terms
from marketplace.chain.verification import blueprint_of
from marketplace.domain import events as e
from marketplace.domain.chain_errors import TransactionReverted
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.pricing import earned_rounded_down
from marketplace.domain.units import Seconds
from tests.integration.provider.stage import ARBITER, DEPLOYER, FUNDS, PRICE, PROVIDER, Stage

OWNER, OTHER = ANVIL_KEYS[6], ANVIL_KEYS[7]
SALT = Bytes32("0x" + "11" * 32)
WAITS = ("python", "-c", "import time; time.sleep(600)")


@pytest.fixture
def company(stage: Stage) -> Address:
    """A company of OWNER's that PROVIDER operates, with money of its own, on a market with finance."""
    finance = finance_terms(stage.chain.chain_id, ARBITER.address, None)
    blueprint = replace(blueprint_of(stage.book), finance=finance)
    plan = plan_deployment(stage.chain, DEPLOYER.address, blueprint)
    stage.book = carry_out(stage.chain, DEPLOYER, plan, known=stage.book)
    stage.market.companies = Companies(stage.chain, stage.book.spv_factory)
    assert stage.book.spv_factory
    spv = stage.market.companies.address_of(OWNER.address, SALT)
    stage.send(OWNER, company_verbs.create_company(stage.book.spv_factory, OWNER.address, PROVIDER.address, SALT))
    for call in (
        verbs.mint(stage.book.token, PROVIDER.address, FUNDS),
        verbs.approve(stage.book.token, stage.book.market, FUNDS),
        verbs.deposit(stage.book.market, spv, FUNDS),
    ):
        stage.send(PROVIDER, call)
    return spv


def test_a_company_serves_and_is_paid(stage: Stage, company: Address) -> None:
    """Heartbeats, logs and receipts are its own in the gateway's eyes; a job settles in a batch, to the unit, and the key gets nothing (S-2, S-5b)."""
    agent = stage.agent(spv=company)
    signed = stage.lease(agent, "python", "-c", "print('made')")
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)
    (settled,) = stage.events(e.LeaseSettled, signed.id)
    offer = stage.market.offer_of(stage.listed(agent))
    receipts = [one for one in stage.client_api.receipts(signed.id) if one.role == "provider"]

    assert isinstance(settled, e.LeaseSettled)
    assert offer is not None
    assert offer.provider == company
    earned = earned_rounded_down(PRICE, signed.order.gpus, settled.used_seconds)
    assert stage.market.balance_of(company) == FUNDS + earned
    assert stage.market.balance_of(PROVIDER.address) == FUNDS
    assert len(receipts) == 1
    assert company in stage.gateway.board.heartbeats()
    assert stage.log_of(signed.id) == "made\n"


def test_a_silent_client_is_claimed_from_through_the_company(stage: Stage, company: Address) -> None:
    """The operator claims, and takes nothing out; the owner does."""
    agent = stage.agent(spv=company, patience_seconds=20)
    signed = stage.lease(agent, "python", "-c", "print('made')")
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the claim is paid")
    paid = stage.market.lease_of(signed.id).paid_seconds
    has = stage.market.balance_of(company)

    assert has == FUNDS + earned_rounded_down(PRICE, signed.order.gpus, Seconds(paid)) > FUNDS
    with pytest.raises(TransactionReverted, match="NotOwner"):
        stage.send(PROVIDER, company_verbs.withdraw(company, has))
    stage.send(OWNER, company_verbs.withdraw(company, has))
    assert stage.market.balance_of(company) == 0


def test_the_operator_at_the_block_speaks_for_it(stage: Stage, company: Address) -> None:
    """From a rotation on the earlier key is nobody's; who is no company speaks for itself (S-5b)."""
    companies, before = stage.market.companies, stage.chain.head()
    stage.send(OWNER, company_verbs.set_operator(company, OTHER.address))

    assert companies.speaker_of(company, before) == PROVIDER.address
    assert companies.speaker_of(company) == OTHER.address
    assert companies.speaker_of(OWNER.address) == OWNER.address
    assert companies.owner_of(company) == OWNER.address
    assert companies.creditor_of(company) is None
