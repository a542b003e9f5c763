"""An agent that serves as a company: it lists, signs, claims and speaks for a provider that is code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.chain import company_verbs, verbs
from marketplace.chain.companies import Companies
from marketplace.chain.contracts import contract_abi
from marketplace.chain.deployment import carry_out, plan_deployment
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.finance import finance_terms
from marketplace.chain.transactions import Sender
from marketplace.chain.verification import blueprint_of
from marketplace.client.company_warnings import objection_due, warnings_before_signing
from marketplace.client.retries import Sight
from marketplace.domain import events as e
from marketplace.domain.chain_errors import TransactionReverted
from marketplace.domain.errors import ConfigError
from marketplace.domain.ids import ZERO_BYTES32, Address, Bytes32, ClassNumber
from marketplace.domain.leases import NO_LEASE, LeaseStatus
from marketplace.domain.pricing import earned_rounded_down
from marketplace.domain.states import ServingState
from marketplace.domain.units import Bps, GpuCount, Seconds, UnixTime
from marketplace.processes import operated
from marketplace.provider.commands import ProviderCommands
from tests.integration.provider.stage import ARBITER, DEPLOYER, FUNDS, INVENTORY, PRICE, PROVIDER, Stage
from tests.integration.provider.test_reservations import RESERVE, indexed, reserved, until

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


def test_a_client_is_told_that_its_provider_is_a_company(stage: Stage, company: Address) -> None:
    """Before it signs, with the window that it then has; and when all of its lease was claimed without a result (S-5); and that an arbiter's silence pays (A-1)."""
    machine = {"spec": Bytes32("0x" + "33" * 32), "arbiter": ARBITER.address, "expires_at": UnixTime(2**40 - 1)}
    terms = {
        "gpu_class": ClassNumber(1),
        "gpus": GpuCount(1),
        "bond_bps": Bps(0),
        "price": PRICE,
        "min_seconds": Seconds(0),
    }
    listed = [stage.send(PROVIDER, verbs.list_offer(desk, **terms, **machine)) for desk in (company, stage.book.market)]
    ours, keys = (event.offer for mined in listed for event in mined.events if isinstance(event, e.OfferListed))
    order = stage.order(stage.spec("true"), posts=False, offer=ours.id).order
    head, claimed = (
        stage.chain.head(),
        e.LeaseClaimed(listed[0].events[0].ref, Bytes32("0x" + "44" * 32), Seconds(60), ZERO_BYTES32),
    )
    lease = replace(NO_LEASE, status=LeaseStatus.CLAIMED, claimed_seconds=Seconds(60), changed_at=head.timestamp)

    (told,) = warnings_before_signing(order, stage.market, stage.client_api, head)
    assert "is a company" in told
    assert "40s" in told
    order = replace(order, offer=keys.id)
    assert warnings_before_signing(order, stage.market, stage.client_api, head) == ()
    stage.market.backstop_arbiter = order.arbiter
    (of_arbiter,) = warnings_before_signing(order, stage.market, stage.client_api, head)
    assert "silence pays" in of_arbiter
    due = objection_due(Sight(head, lease, company, Seconds(0), (claimed,)), stage.market)
    assert due is not None
    assert f"60 s were claimed for the company {company} without a result" in due
    with_result = replace(claimed, result=Bytes32("0x" + "55" * 32))
    assert objection_due(Sight(head, lease, company, Seconds(0), (with_result,)), stage.market) is None
    assert objection_due(Sight(head, lease, PROVIDER.address, Seconds(0), (claimed,)), stage.market) is None


def test_a_pledged_company_opens_before_and_lists_nothing_after(stage: Stage, company: Address) -> None:
    """Its agent opens a reservation through it (P-21); once pledged, its offers have expired and stay so, and what is open is served (S-1)."""
    agent = stage.agent(spv=company, inventory=INVENTORY + RESERVE)
    with indexed(stage) as step:
        listed = stage.listed(agent)
        signed = reserved(stage)
        until(stage, agent, step, lambda: stage.status(signed.id) is LeaseStatus.OPEN, "it is opened")
        lease = stage.market.lease_of(signed.id)
        stage.send(OWNER, company_verbs.allow(company, OTHER.address))
        pledge = contract_abi("ProviderSpv").call("pledge", signed.id, lease.opened_at, signed.order)
        stage.send(OTHER, verbs.Call(company, pledge, "pledge"))
        stage.jump(signed.order.starts_at - stage.chain.head().timestamp)
        until(stage, agent, step, lambda: stage.journal(agent).servings(ServingState.RUNNING), "it runs")
    head = stage.chain.head()
    offer = stage.market.offer_of(listed, head)

    assert offer is not None
    assert not offer.is_alive(head.timestamp)
    assert len(stage.journal(agent).listings()) == 1
    assert stage.market.companies.creditor_of(company, head) == OTHER.address
    assert stage.market.companies.pledged_lease(company, head) == signed.id


def test_who_operates_it_looks_after_it(stage: Stage, company: Address) -> None:
    """`bourse provider`'s commands speak of the company where its agent has run; another's key, and what is no company, serve as none."""
    agent = stage.agent(spv=company)
    stage.listed(agent)
    commands = ProviderCommands(
        stage.market, PROVIDER, stage.journal(agent), Sender(stage.chain, PROVIDER), stage.folder
    )
    commands.check_key()

    assert commands.account == company
    assert commands.picture().free == FUNDS
    assert [offer.provider for offer in commands.picture().offers] == [company]
    assert operated(stage.market, PROVIDER, company) == company
    with pytest.raises(ConfigError, match="its owner sets another"):
        operated(stage.market, OTHER, company)
    with pytest.raises(ConfigError, match="no company"):
        operated(stage.market, OTHER, OTHER.address)
